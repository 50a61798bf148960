import dataclasses
from collections.abc import Sequence

import pytest

from codepretrain.config.schema import AveragesConfig, EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.averaged_scores import check_averaged_scores, full_scores
from tests.configs import small_study

EVALS = {
    "suite": EvaluatorConfig(kind="harness", options={"tasks": "boolq,mbpp"}),
    "human_eval": EvaluatorConfig(kind="code_generation"),
    "loss": EvaluatorConfig(kind="validation_loss"),
    "dolly": EvaluatorConfig(kind="completions"),
}


def study(*scores: str, excluded: Sequence[str] = (), **others: Sequence[str]) -> StudyConfig:
    """A study with a category of some scores, and a total over it and other categories."""
    categories = {"first": scores, **{name: tuple(of) for name, of in others.items()}}
    averages = AveragesConfig(
        categories=categories, totals={"total": tuple(categories)}, excluded=tuple(excluded)
    )
    return dataclasses.replace(small_study(), evals=EVALS, averages=averages)


def test_a_score_is_a_metric_or_the_only_primary_one() -> None:
    config = study(
        "suite/boolq/accuracy", "human_eval", code=["suite/mbpp/accuracy"], excluded=["human_eval"]
    )
    check_averaged_scores(config)
    averages = full_scores(config)
    assert averages.categories == {
        "first": ("suite/boolq/accuracy", "human_eval/pass_at_1"),
        "code": ("suite/mbpp/accuracy",),
    }
    assert averages.totals == {"total": ("first", "code")}
    assert averages.excluded == ("human_eval/pass_at_1",)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (study("suite"), r"first\[0\]: an evaluation of kind 'harness' has no single primary"),
        (study("loss"), r"first\[0\]: .* name one as 'loss/<metric>', of \*/nats_per_token"),
        (study("dolly"), r"first\[0\]: an evaluation of kind 'completions' has no single primary"),
        (study("human_eval/accuracy"), r"first\[0\]: .* has no score 'accuracy'; expected one of"),
        (study("human_eval/baseline/empty"), "has no score 'baseline/empty'"),
        (
            study("human_eval", "human_eval/pass_at_1"),
            "first: 'human_eval/pass_at_1' is there twice",
        ),
        (
            study("human_eval", "suite/boolq/gold_bits_per_byte"),
            r"first averages different things: human_eval is in fraction \(higher is better\), "
            r"suite/boolq/gold_bits_per_byte in bits/byte \(lower is better\)",
        ),
        (
            study("human_eval", bits=["human_eval/bits_per_byte"]),
            "totals.total averages different things: first is in fraction",
        ),
        (
            study(
                "human_eval",
                "suite/boolq/accuracy",
                code=["human_eval/pass_at_1"],
                excluded=["human_eval"],
            ),
            "excluded: all scores of the category code are excluded",
        ),
    ],
)
def test_what_cannot_be_averaged_is_an_error(config: StudyConfig, message: str) -> None:
    with pytest.raises(UserError, match=f"config.averages.*{message}"):
        check_averaged_scores(config)
