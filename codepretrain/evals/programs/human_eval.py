"""HumanEval: a function's signature and docstring, of which the model writes the body.

0-shot, as in the paper. The prompt is the benchmark's own, with or without the line break at its
end. A tokenizer that joins a line break with the indentation after it, as ours does, has never seen
a line break end where a body begins, so by default the prompt ends before it. (The harness of
EleutherAI gives the prompt with its line break, that of BigCode without.)

Source: Chen et al., Evaluating Large Language Models Trained on Code, 2021: prompts, tests, and the
texts at which a completion ends.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codepretrain.evals.programs.problem import Problem, functions, parsed
from codepretrain.evals.programs.records import text_field

STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def problems(records: Sequence[Mapping[str, Any]], *, keep_line_break: bool) -> list[Problem]:
    """Returns the problem of each record.

    Raises:
      ValueError: a record is damaged; names it.
    """
    return [_problem(record, n, keep_line_break) for n, record in enumerate(records, start=1)]


def _problem(record: Mapping[str, Any], number: int, keep_line_break: bool) -> Problem:
    name = record.get("task_id", f"record {number}")
    try:
        prompt = text_field(record, "prompt")
        entry_point = text_field(record, "entry_point")
        shown = prompt if keep_line_break else prompt.rstrip()
        setup = f"{prompt.rstrip()}\n    pass\n"
        function = functions(parsed(setup)).get(entry_point)
        if function is None:
            raise ValueError(f"the prompt does not define {entry_point}")
        break_line = "" if keep_line_break else "\n"
        first = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        tests = f"{text_field(record, 'test')}\ncheck({entry_point})\n"
        parsed(tests)
        return Problem(
            id=text_field(record, "task_id"),
            prompt=shown,
            reference=prompt[len(shown) :] + text_field(record, "canonical_solution"),
            stop=STOP,
            begin=shown,
            setup=setup,
            tests=tests,
            names=(entry_point,),
            policies={
                "empty": "",
                "pass": f"{break_line}    pass\n",
                "first_argument": f"{break_line}    return {first[0] if first else None}\n",
            },
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
