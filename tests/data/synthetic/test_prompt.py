"""What a teacher is asked, and which part of an answer is the solution."""

import pytest

from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.prompt import prompt, solution_in

CODE = "def add(a, b):\n    return a + b\n"


def test_the_prompt_holds_the_statement_but_neither_solution_nor_hidden_tests() -> None:
    problem = generate(0, 0)
    text = prompt(problem)
    assert problem.statement in text
    assert f"`{problem.name}`" in text
    assert (problem.solution or "") not in text
    assert problem.tests[-1][-1].code not in text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"```python\n{CODE}```", CODE),
        (f"Sure!\n\n```py\n{CODE}```\nThat adds.", CODE),
        (f"```\n{CODE}```", CODE),
        (f"```python\nx = 1\n```\n```python\n{CODE}```\n```\nprint()\n```", CODE),
        (f"```python\r\n{CODE}```".replace("\n", "\r\n").replace("\r\r", "\r"), CODE),
        (CODE, CODE),
        (f"```python\n{CODE}", CODE),
        ("```python\nprint('adder')\n```", None),
        ("I cannot help.", None),
        (f"```python\n{CODE}``` \t\n", CODE),
        (f"`add` is\n```python\n{CODE}```\n```\nadd(", CODE),
        ("```a\nadd\n```b\nc\n```\n", "add\n```b\nc\n"),
    ],
)
def test_the_solution_in_an_answer(answer: str, expected: str | None) -> None:
    assert solution_in(answer, "add") == expected


@pytest.mark.parametrize("piece", ["```python\n", "```a\nx\n", "``", "```", "\n"])
def test_an_answer_that_repeats_itself_takes_linear_time(piece: str) -> None:
    solution_in(piece * 200_000, "add")  # hours if every block were searched to the end
