"""A draft's statement and tests: wording, examples, and the oracle's results."""

import ast
from collections.abc import Sequence
from random import Random
from typing import Any

from codepretrain.data.synthetic.families.family import Draft
from codepretrain.data.synthetic.problem import Problem, Step, Test, is_expression

_FUNCTION_OPENINGS = (
    "Write a function `{signature}` that {task}.",
    "Implement `{signature}`, a function that {task}.",
    "Define a Python function `{signature}`. It {task}.",
    "Complete the function `{signature}` so that it {task}.",
    "Create a function named `{name}` with the signature `{signature}`. The function {task}.",
    "The function `{signature}` {task}. Implement it.",
    "Task: write `{signature}`. It {task}.",
    "Please implement `{signature}` in Python, such that it {task}.",
)
_CLASS_OPENINGS = (
    "Write a class `{signature}` that {task}.",
    "Implement `{signature}`, a class that {task}.",
    "Define a Python class `{signature}`. It {task}.",
    "Create a class named `{name}`, constructed as `{signature}`. It {task}.",
    "The class `{signature}` {task}. Implement it.",
)
_EXAMPLE_HEADINGS = ("Example:", "Examples:", "For example:", "Sample calls:", "Usage:")
_MAX_EXAMPLES = 3


def build(family: str, draft: Draft, rng: Random) -> Problem:
    """Returns the problem of a draft. `rng` decides the wording and the number of examples."""
    tests = [_test(draft, test) for test in draft.tests]
    tests += [(Step(expression, check=check),) for expression, check in draft.properties]
    return Problem(
        statement=_statement(draft, tests, rng),
        name=draft.name,
        tests=tuple(dict.fromkeys(tests)),
        solution=draft.solution,
        family=family,
        difficulty=draft.difficulty,
        parameters=dict(draft.parameters),
    )


def _test(draft: Draft, test: str | Sequence[str]) -> Test:
    """Runs a test's code with the oracle: our own code, generated in this package."""
    scope: dict[str, Any] = {draft.name: draft.oracle}
    steps = []
    for line in [test] if isinstance(test, str) else test:
        if not is_expression(line):
            exec(line, scope)
            steps.append(Step(line))
            continue
        try:
            value = eval(line, scope)
        except (ValueError, KeyError, IndexError) as error:
            steps.append(Step(line, raises=type(error).__name__))
            continue
        steps.append(Step(line) if value is None else Step(line, check=expectation(value)))
    return tuple(steps)


def expectation(value: object) -> str:
    """Returns the check that a result is this value; a float may differ by rounding."""
    if isinstance(value, bool):
        return f"result is {value}"
    if isinstance(value, float):
        return f"abs(result - {value!r}) < 1e-9"
    assert ast.literal_eval(repr(value)) == value, f"not a literal: {value!r}"
    return f"result == {value!r}"


def _statement(draft: Draft, tests: Sequence[Test], rng: Random) -> str:
    openings = _CLASS_OPENINGS if draft.solution.startswith("class ") else _FUNCTION_OPENINGS
    opening = rng.choice(openings).format(
        signature=draft.signature, name=draft.name, task=draft.task
    )
    paragraphs = []
    notes = [note for note in draft.notes if note]
    if len(notes) > 1 and rng.random() < 0.4:
        paragraphs += [opening, "\n".join(f"- {note}" for note in notes)]
    elif rng.random() < 0.5:
        paragraphs += [opening, " ".join(notes)]
    else:
        paragraphs.append(" ".join([opening, *notes]))
    if examples := _examples(tests, rng):
        paragraphs.append(examples)
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _examples(tests: Sequence[Test], rng: Random) -> str:
    """Shows fewer tests than there are: a solution cannot be a table of the examples."""
    shown = tests[: rng.randint(0, min(_MAX_EXAMPLES, len(tests) - 2))]
    style = rng.choice((_as_session, _as_sentence, _as_arrow))
    lines = [line for test in shown for line in style(test)]
    if not lines:
        return ""
    heading = "Example:" if len(shown) == 1 else rng.choice(_EXAMPLE_HEADINGS)
    return "\n".join(lines if style is _as_sentence else [heading, *lines])


def _as_session(test: Test) -> list[str]:
    lines = []
    for step in test:
        lines.append(f">>> {step.code}")
        if step.raises:
            lines.append(f"{step.raises}")
        elif step.check:
            lines.append(_expected(step))
    return lines


def _as_sentence(test: Test) -> list[str]:
    if len(test) > 1:
        return _as_session(test)
    return [f"{_call(test[0])} {_outcome(test[0], 'returns', 'raises')}."]


def _as_arrow(test: Test) -> list[str]:
    if len(test) > 1:
        return _as_session(test)
    return [f"{test[0].code} -> {_expected(test[0])}"]


def _call(step: Step) -> str:
    return f"`{step.code}`"


def _outcome(step: Step, returns: str, raises: str) -> str:
    return f"{raises if step.raises else returns} `{_expected(step)}`"


def _expected(step: Step) -> str:
    if step.raises:
        return step.raises
    check = step.check or ""
    if check.startswith("abs(result - "):
        return check.removeprefix("abs(result - ").removesuffix(") < 1e-9")
    return check.removeprefix("result == ").removeprefix("result is ")
