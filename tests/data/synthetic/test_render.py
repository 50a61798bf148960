"""The layout of a document, and that it is a program that passes its own tests."""

import subprocess
import sys
from typing import Any

import pytest

from codepretrain.data.synthetic.families import FAMILIES
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.problem import Problem, Step
from codepretrain.data.synthetic.render import document, has_heading, render
from codepretrain.data.synthetic.verify import Verdict

DOUBLE = Problem(
    statement="Write a function `double(n)` that doubles `n`.\n\nIt is a whole number.",
    name="double",
    tests=(
        (Step("double(2)", check="result == 4"),),
        (Step("double(0)", check="result is False"),),
        (Step("double(None)", raises="TypeError"),),
        (Step("x = double(1)"), Step("double(x)", check="abs(result - 4) < 1e-9")),
        (Step("double([])", check="result == x or result"),),
    ),
    parameters={"k": 2},
)
TEXT = """\
# Problem
# Write a function `double(n)` that doubles `n`.
#
# It is a whole number.

# Solution
def double(n):
    return 2 * n


# Tests
assert double(2) == 4
assert double(0) is False
try:
    double(None)
except TypeError:
    pass
else:
    raise AssertionError("expected TypeError")
x = double(1)
result = double(x)
assert abs(result - 4) < 1e-9
result = double([])
assert result == x or result
"""


def test_the_layout() -> None:
    assert render(DOUBLE, "\ndef double(n):\n    return 2 * n\n\n") == TEXT


def test_a_document_says_where_it_comes_from() -> None:
    made = document(
        DOUBLE,
        "def double(n):\n    return 2 * n\n",
        source="s",
        id="d/1",
        teacher="model; of\nus",
        license="MIT",
        verdict=Verdict("verified", ("limits", "seccomp")),
    )
    assert made.origin == f"problem {DOUBLE.id}"
    assert made.metadata == {
        "family": "custom",
        "difficulty": "3",
        "teacher": "model; of\nus",
        "verdict": "verified",
        "sandbox": "limits+seccomp",
    }
    assert (made.id, made.license, made.language) == ("d/1", "MIT", "python")
    assert made.group == f"synthetic/{DOUBLE.id}"
    assert made.text == TEXT


def test_a_document_is_the_same_where_a_machine_grants_more_layers() -> None:
    def made(*isolation: str):
        verdict = Verdict("verified", isolation)
        known: Any = {"source": "s", "id": "d", "teacher": "t", "license": None}
        return document(DOUBLE, "x = 1", verdict=verdict, **known)

    assert made("limits", "seccomp", "memory_cgroup") == made("limits", "seccomp")


def test_every_document_passes_its_own_tests() -> None:
    """All in one process, each in a namespace of its own."""
    for index in range(2 * len(FAMILIES)):
        problem = generate(9, index)
        assert not has_heading(problem, problem.solution or "")
        text = render(problem, problem.solution or "")
        exec(compile(text, problem.id, "exec"), {"__name__": "document"})
        headings = [line for line in text.splitlines() if line in ("# Solution", "# Tests")]
        assert headings == ["# Solution", "# Tests"]


def test_a_document_with_a_wrong_solution_fails() -> None:
    text = render(DOUBLE, "def double(n):\n    return n + 1\n")
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert "AssertionError" in result.stderr


@pytest.mark.parametrize(
    ("statement", "solution"),
    [("Tests", "x = 1"), ("Add.", "# Tests\nx = 1"), ("Add.", "x = '''\n  # Solution\n'''")],
)
def test_another_heading_is_found(statement: str, solution: str) -> None:
    problem = Problem(statement=statement, name="x", tests=DOUBLE.tests)
    assert has_heading(problem, solution)
    assert not has_heading(DOUBLE, "# Tests follow")


@pytest.mark.parametrize(
    ("code", "check", "line"),
    [
        ("f(1), 2", "result == (1, 2)", "assert (f(1), 2) == (1, 2)"),
        ("f(1) if f(0) else 2", "result == 2", "assert (f(1) if f(0) else 2) == 2"),
        ("(f(1)) if f(0) else (2)", "result == 2", "assert ((f(1)) if f(0) else (2)) == 2"),
        ("(f(1), 2)", "result == (1, 2)", "assert (f(1), 2) == (1, 2)"),
        ("f(1) # one", "result == 1 # two", "assert f(1) == 1 # two"),
        ("f(1) + 1", "result == 2", "assert f(1) + 1 == 2"),
        ("f(\n1)", "result == (1\n)", "assert f(1) == (1\n)"),
        ("f('#')", "result == '#'", "assert f('#') == '#'"),
        ("lambda: f(1)", "result is None", "assert (lambda: f(1)) is None"),
        ("[x for x in f(1)]", "result == []", "assert [x for x in f(1)] == []"),
    ],
)
def test_a_comparison_covers_the_whole_expression(code: str, check: str, line: str) -> None:
    problem = Problem(statement="F.", name="f", tests=((Step(code, check=check),),))
    assert render(problem, "x = 1").endswith(f"# Tests\n{line}\n")


def test_a_heading_in_a_check_is_found() -> None:
    test = (Step("f(1)", check="result == (1\n# Tests\n)"),)
    assert has_heading(Problem(statement="F.", name="f", tests=(test,)), "x = 1")
