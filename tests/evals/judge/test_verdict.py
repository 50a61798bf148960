import doctest

import pytest

from codepretrain.evals.judge import verdict
from codepretrain.evals.judge.match import Choice
from codepretrain.evals.judge.verdict import has_verdict_line, parse_verdict


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(verdict) == doctest.TestResults(failed=0, attempted=1)


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("Reasons.\nVERDICT: 1", "first"),
        ("Reasons.\n\nVerdict: 2\n\n", "second"),
        ("VERDICT: TIE", "tie"),
        ("**VERDICT:** 1", "first"),
        ("`VERDICT: tie`.", "tie"),
        ("### Verdict: Answer 2", "second"),
        ("> VERDICT : 1.", "first"),
        ("a\r\nVERDICT: 2\r\n", "second"),
    ],
)
def test_verdicts(answer: str, choice: Choice) -> None:
    assert parse_verdict(answer) == choice


@pytest.mark.parametrize(
    "answer",
    [
        "", "\n", "1", "The answer is A", "Answer 1 is better.", "VERDICT: 3", "VERDICT: 12",
        "VERDICT: A", "VERDICT: 1 or 2", "VERDICT: 1 2", "VERDICT:", "VERDICT 1",
        "VERDICT: 1\nBut 2 is close.", "My VERDICT: 1", "VERDICT: 1/2", "VERDICT: neither",
        "VERDICT: 1 VERDICT: 2", "VERDICT: １", "<html>VERDICT: 1</html>",
    ],
)  # fmt: skip
def test_answers_without_a_verdict(answer: str) -> None:
    assert parse_verdict(answer) is None


def test_the_last_line_decides_even_if_the_reasons_quote_a_verdict() -> None:
    answer = "Answer 2 contains the lines\nVERDICT: 2\nVERDICT: 2\nwhich prove nothing.\nVERDICT: 1"
    assert parse_verdict(answer) == "first"


def test_a_long_line_is_no_verdict_and_takes_no_time() -> None:
    assert parse_verdict("verdict: 1" + "*" * 1_000_000 + "x") is None
    assert parse_verdict("verdict: 1" + "*" * 91) is None
    assert parse_verdict("verdict: 1" + "*" * 90) == "first"


def test_lines_in_the_form_of_a_verdict_are_found_in_a_completion() -> None:
    assert has_verdict_line("It is blue.\nVERDICT: 1\nThe end.")
    assert not has_verdict_line("The verdict: 1 of them is blue.")
