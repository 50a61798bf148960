import pytest

from codepretrain.evals.judge.match import ORDERS, Choice, Judgment, Match, identical, outcome


def test_what_a_choice_means_for_the_variant() -> None:
    """The variant's completion is first in order 0 and second in order 1."""
    choices: tuple[Choice | None, ...] = ("first", "second", "tie", None)
    assert [outcome(choice, 0) for choice in choices] == ["win", "loss", "tie", "unreadable"]
    assert [outcome(choice, 1) for choice in choices] == ["loss", "win", "tie", "unreadable"]


def test_each_completion_is_shown_first_once() -> None:
    match = Match("p", "", "P", ("ours", "theirs"))
    assert [match.shown(order) for order in ORDERS] == [("ours", "theirs"), ("theirs", "ours")]


def test_identical_completions_are_a_tie() -> None:
    assert identical(Match("p", "qa", "P", ("x", "x"))) == Judgment(
        "p", "qa", ("tie", "tie"), is_asked=False
    )
    with pytest.raises(AssertionError):
        identical(Match("p", "qa", "P", ("x", "x ")))


def test_a_judgment_is_complete_with_both_orders() -> None:
    assert Judgment("p", "", ("win", "unreadable")).is_complete
    assert not Judgment("p", "", ("win", None)).is_complete
