"""MBPP: a task in one sentence with its tests, for which the model writes a function.

The problems are those of the test split, 11 to 510, of the full or the sanitized file. The prompt
is that of the benchmark's authors: instruction, task, tests, `[BEGIN]`; an answer ends with
`[DONE]`. 3-shot, the common form, shows the tasks 2, 3 and 4 of the same file first; 0-shot, the
paper's setting, shows nothing, so a base model has not seen how an answer ends.

A candidate passes if `test_list` does; `challenge_test_list` is not used, as in the common form.

Source: Austin et al., Program Synthesis with Large Language Models, 2021.
"""

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codepretrain.evals.programs.problem import Problem, functions, parsed
from codepretrain.evals.programs.records import text_field, text_list_field

STOP = ("[DONE]",)
TEST_SPLIT = range(11, 511)
SHOWN_TASKS = (2, 3, 4)


def problems(records: Sequence[Mapping[str, Any]], *, num_fewshot: int) -> list[Problem]:
    """Returns the problems of the test split.

    Args:
      records: of the file.
      num_fewshot: how many of `SHOWN_TASKS` the prompt shows first.

    Raises:
      ValueError: a record is damaged, a shown task is missing, or there is no problem.
    """
    by_id = _by_id(records)
    shown = [by_id.get(number) for number in SHOWN_TASKS[:num_fewshot]]
    if None in shown:
        raise ValueError(
            f"a {num_fewshot}-shot prompt shows the tasks {SHOWN_TASKS[:num_fewshot]}, and not all "
            "of them are in the file: give the whole file, or a folder with the `prompt` split too"
        )
    examples = "".join(f"{_prompt(r)}{text_field(r, 'code')}\n[DONE]\n\n" for r in shown if r)
    chosen = [number for number in by_id if number in TEST_SPLIT]
    if not chosen:
        raise ValueError(f"no task of the test split, {TEST_SPLIT[0]} to {TEST_SPLIT[-1]}")
    return [_problem(by_id[number], number, examples) for number in chosen]


def _by_id(records: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for position, record in enumerate(records, start=1):
        number = record.get("task_id")
        if type(number) is not int:
            raise ValueError(f"record {position}: task_id is no whole number")
        if number in found:
            raise ValueError(f"task {number} is there twice: give one variant, full or sanitized")
        found[number] = record
    return found


def _prompt(record: Mapping[str, Any]) -> str:
    tests = "\n".join(text_list_field(record, "test_list")[:3])
    return (
        "You are an expert Python programmer, and here is your task: "
        f"{text_field(record, 'text', 'prompt')} Your code should pass these tests:\n\n"
        f"{tests}\n[BEGIN]\n"
    )


def _problem(record: Mapping[str, Any], number: int, examples: str) -> Problem:
    try:
        code = text_field(record, "code")
        tests = text_list_field(record, "test_list")
        if not tests:
            raise ValueError("no tests in test_list")
        setup_code = record.get("test_setup_code") or ""
        source = "\n".join([setup_code, *tests, ""])
        reference, tested = parsed(code), parsed(source)
        names = [name for name in _defined(reference.body) if name in _loaded(tested)]
        function = next((name for name in names if name in functions(reference)), "f")
        return Problem(
            id=f"MBPP/{number}",
            prompt=examples + _prompt(record),
            reference=code,
            stop=STOP,
            begin="",
            setup="\n".join([*text_list_field(record, "test_imports"), *_imports(reference), ""]),
            tests=source,
            names=names,
            policies={
                "empty": "",
                "pass": f"def {function}(*arguments):\n    pass\n",
                "first_argument": f"def {function}(*arguments):\n    return arguments[0]\n",
            },
        )
    except ValueError as error:
        raise ValueError(f"task {number}: {error}") from error


def _imports(tree: ast.Module) -> list[str]:
    """Returns the imports of the reference: some tests rely on them."""
    return [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]


def _defined(statements: Iterable[ast.stmt]) -> list[str]:
    """Returns the names that a module defines at its top level, imports aside."""
    found: dict[str, None] = {}
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[statement.name] = None
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found[node.id] = None
    return list(found)


def _loaded(tree: ast.Module) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
