import math

import pytest

from codepretrain.evals.judge.match import Judgment, Outcome
from codepretrain.evals.judge.result import JudgeResult
from codepretrain.report.judge_agreement import judge_agreements


def result(
    *outcomes: tuple[Outcome | None, Outcome | None], variant: str = "a", asked: bool = True
) -> JudgeResult:
    return JudgeResult(
        study="s",
        evaluator="dolly",
        variant={"variant": variant, "replicate": 0},
        reference={"variant": "base", "replicate": 0},
        judge={},
        answered_by=[],
        judgments=[Judgment(f"p{i}", "", pair, asked) for i, pair in enumerate(outcomes)],
        num_asserting=(0, 0),
    )


def test_agreement_by_hand() -> None:
    """
    prompt  one's verdict       other's verdict
    0       win                 win (one tie)
    1       tie (contradiction) tie
    2       loss                win
    3       loss (one unread.)  loss
    4       not judged          win               left out
    """
    one = result(
        ("win", "win"), ("win", "loss"), ("loss", "loss"), ("loss", "unreadable"), ("win", None)
    )
    other = result(("tie", "win"), ("tie", "tie"), ("win", "win"), ("loss", "loss"), ("win", "win"))
    (found,) = judge_agreements({"x": [one], "y": [other]})
    assert (found.judges, found.variant, found.num_prompts) == (("x", "y"), "a", 4)
    assert found.agreement.value == 3 / 4
    chance = 1 / 4 * 2 / 4 + 1 / 4 * 1 / 4 + 2 / 4 * 1 / 4
    assert found.kappa == pytest.approx((3 / 4 - chance) / (1 - chance))


def test_only_the_same_comparisons_are_set_against_each_other() -> None:
    results = {
        "x": [result(("win", "win")), result(("win", "win"), variant="b")],
        "y": [result(("win", "win"), variant="b")],
        "z": [result(("loss", "loss"), variant="b")],
    }
    found = judge_agreements(results)
    assert [(pair.judges, pair.variant, pair.agreement.value) for pair in found] == [
        (("x", "y"), "b", 1),
        (("x", "z"), "b", 0),
        (("y", "z"), "b", 0),
    ]
    assert judge_agreements({"x": results["x"]}) == []


def test_identical_completions_are_no_agreement() -> None:
    same = result(("tie", "tie"), asked=False)
    (found,) = judge_agreements({"x": [same], "y": [same]})
    assert found.num_prompts == 0
    assert math.isnan(found.agreement.value)
    assert math.isnan(found.kappa)
