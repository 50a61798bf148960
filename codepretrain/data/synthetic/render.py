"""The document of a verified solution. It is a Python program that passes its own tests:

    # Problem
    # Write a function `double(n)` that doubles `n`.
    #
    # It is a whole number.

    # Solution
    def double(n):
        return 2 * n


    # Tests
    assert double(2) == 4
    try:
        double(None)
    except TypeError:
        pass
    else:
        raise AssertionError("expected TypeError")

The three headings stand alone on their lines, once each, in this order. A test of several steps
keeps them in order; a check that is no comparison with a value is an `assert` of `result`. The
group of a problem with parameters is its family, because problems of one family share most of their
text; another problem, with all its solutions, is a group of its own.
"""

import ast

from codepretrain.data.document import Document
from codepretrain.data.python_syntax import parse_expression
from codepretrain.data.synthetic.problem import Problem, Step
from codepretrain.data.synthetic.verify import Verdict
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS

# Without parentheses, a comparison would apply to the last part of them only.
_LOOSE = (ast.Tuple, ast.IfExp, ast.Lambda, ast.BoolOp, ast.Compare)
_HEADINGS = ("# Problem", "# Solution", "# Tests")


def render(problem: Problem, solution: str) -> str:
    """Returns the text of a document."""
    statement = "\n".join(f"# {line}".rstrip() for line in problem.statement.splitlines())
    tests = "\n".join(line for test in problem.tests for step in test for line in _lines(step))
    problem_heading, solution_heading, tests_heading = _HEADINGS
    return (
        f"{problem_heading}\n{statement}\n\n"
        f"{solution_heading}\n{solution.strip()}\n\n\n"
        f"{tests_heading}\n{tests}\n"
    )


def document(
    problem: Problem,
    solution: str,
    *,
    source: str,
    id: str,
    teacher: str,
    license: str | None,
    verdict: Verdict,
) -> Document:
    """Returns the document of a verified solution.

    Its metadata are family, difficulty, teacher, verdict and the sandbox's layers: only those that
    every machine must grant, so documents do not depend on the machine.
    """
    assert verdict.is_verified
    metadata = {
        "family": problem.family,
        "difficulty": str(problem.difficulty),
        "teacher": teacher,
        "verdict": verdict.status,
        "sandbox": "+".join(layer for layer in verdict.isolation if layer in REQUIRED_LAYERS),
    }
    return Document(
        id=id,
        text=render(problem, solution),
        source=source,
        origin=f"problem {problem.id}",
        group=f"synthetic/{problem.split_group}",
        language="python",
        license=license,
        metadata=metadata,
    )


def has_heading(problem: Problem, solution: str) -> bool:
    """Returns whether a text would give the document another heading, and so break the layout."""
    lines = [f"# {line}".rstrip() for line in problem.statement.splitlines()]
    lines += [line.strip() for line in solution.splitlines()]
    steps = [step for test in problem.tests for step in test]
    lines += [line for step in steps for line in f"{step.code}\n{step.check}".splitlines()]
    return any(line.strip() in _HEADINGS for line in lines)


def _lines(step: Step) -> list[str]:
    if step.raises:
        return [
            "try:",
            f"    {step.code}",
            f"except {step.raises}:",
            "    pass",
            "else:",
            f'    raise AssertionError("expected {step.raises}")',
        ]
    if step.check is None:
        return [step.code]
    if (value := _compared_with(step.check)) is not None:
        operator = "is" if value in ("True", "False", "None") else "=="
        return [f"assert {_operand(step.code)} {operator} {value}"]
    return [f"result = {step.code}", f"assert {step.check}"]


def _operand(code: str) -> str:
    """Returns an expression as the left side of a comparison, without a comment at its end."""
    expression = parse_expression(code)
    assert expression is not None
    text = ast.unparse(expression) if "#" in code or "\n" in code else code
    is_enclosed = text.startswith("(") and parse_expression(text[1:-1]) is not None
    return f"({text})" if isinstance(expression, _LOOSE) and not is_enclosed else text


def _compared_with(check: str) -> str | None:
    """Returns the literal that a check compares `result` with, None for other checks."""
    for start in ("result == ", "result is "):
        if check.startswith(start):
            value = check.removeprefix(start)
            try:
                ast.literal_eval(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return None
            return value
    return None
