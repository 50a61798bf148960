"""Contrasts are checked before anything is trained; the error names the field."""

import dataclasses
from typing import Any

import pytest

from codepretrain.config.contrasts import check_contrasts
from codepretrain.config.parse import parse
from codepretrain.config.schema import (
    AveragesConfig,
    ContrastConfig,
    EvaluatorConfig,
    PhaseConfig,
    ReplicateConfig,
    StudyConfig,
)
from codepretrain.config.validate import check
from codepretrain.errors import UserError
from tests.configs import CONSTANT, STEP_TOKENS, small_study

TRUNK = PhaseConfig(tokens=10 * STEP_TOKENS, mixture={"text": 1.0}, schedule=CONSTANT)
SEEDS = tuple(ReplicateConfig(initialization_seed=i, data_order_seed=i) for i in range(3))


def study(**fields: Any) -> StudyConfig:
    """Three variants with three replicates, one evaluation, one average and one contrast."""
    changes = fields.pop("changes", {})
    contrast = {"variants": ["code", "text"], "metric": "reasoning", "direction": "higher"}
    phases = dict.fromkeys(("none", "some", "all"), TRUNK)
    config = small_study(
        phases,
        evals={"exam": {"kind": "multiple_choice"}},
        averages={"categories": {"reasoning": ["exam"]}},
    )
    return dataclasses.replace(
        config,
        variants={"text": "none", "code": "some", "more": "all"},
        replicates=SEEDS,
        contrasts={"main": parse(ContrastConfig, contrast | fields)},
        **changes,
    )


@pytest.mark.parametrize(
    ("fields", "arms"),
    [
        ({}, {"code": 1.0, "text": -1.0}),
        ({"metric": "exam/accuracy", "direction": "different"}, {"code": 1.0, "text": -1.0}),
        ({"direction": "equivalent", "margin": 0.01}, {"code": 1.0, "text": -1.0}),
        ({"direction": "not_higher", "margin": 0.01}, {"code": 1.0, "text": -1.0}),
        (
            {"variants": [], "weights": {"text": -0.02, "code": 0.0001, "more": 0.0199}},
            {"text": -0.02, "code": 0.0001, "more": 0.0199},
        ),
    ],
)
def test_contrasts_that_can_be_decided(fields: dict[str, Any], arms: dict[str, float]) -> None:
    config = study(**fields)
    check(config)
    assert config.contrasts["main"].arms == arms


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variants": ["cod", "text"]}, r"variants\[0\]: there is no variant 'cod'; .* code\?"),
        ({"variants": ["code", "none"]}, r"variants\[1\]: there is no variant 'none'"),
        ({"variants": ["code"]}, "variants: expected two variants, found 1"),
        ({"variants": ["code", "code"]}, "of different phases, found two that end with some"),
        ({"variants": []}, "expected either variants or weights, found neither"),
        ({"weights": {"code": 1, "text": -1}}, "variants or weights, found both"),
        ({"variants": [], "weights": {"code": 1.0, "tex": -1}}, r"weights.tex: there is no var"),
        ({"variants": [], "weights": {"code": 1.0, "text": -0.5}}, "that sum to 0, .* of 0.5"),
        ({"variants": [], "weights": {"code": 0.0, "text": 0}}, "each with a weight other than 0"),
        ({"metric": "reasonin"}, "metric: there is no average or evaluation 'reasonin'; did"),
        ({"metric": "exams/accuracy"}, "metric: there is no average or evaluation 'exams'"),
        ({"direction": "up"}, "direction: expected one of higher, lower, different, equivalent"),
        ({"margin": 0.0}, "margin: expected a positive number, got 0.0"),
        ({"margin": -0.01}, "margin: expected a positive number"),
        ({"direction": "equivalent"}, "margin is missing: expected the largest difference"),
        ({"family": "Main"}, "family: expected a name of lower-case letters"),
        (
            {"run_correlation": 0.5},
            "run_correlation: replicates of two variants count as independent .* is_paired=True",
        ),
        (
            {"is_paired": True, "changes": {"num_replicates": {"code": 2}}},
            "is_paired: expected equally many .* code has 2, text has 3",
        ),
    ],
)
def test_mistakes(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^config\.contrasts\.main.*{message}"):
        check(study(**fields))


def test_a_name_of_an_average_and_an_evaluation_is_ambiguous() -> None:
    averages = AveragesConfig(categories={"exam": ("exam",)})
    with pytest.raises(UserError, match="'exam' is both an average and an evaluation"):
        check_contrasts(study(metric="exam", changes={"averages": averages}))


def test_the_name_of_a_contrast() -> None:
    config = study()
    with pytest.raises(UserError, match=r"^config\.contrasts: expected a name"):
        check(dataclasses.replace(config, contrasts={"A": config.contrasts["main"]}))


def test_an_evaluation_without_averages_can_be_contrasted() -> None:
    evals = {"loss": EvaluatorConfig(kind="validation_loss")}
    changes = {"evals": evals, "averages": AveragesConfig()}
    check(study(metric="loss/source/text/nats_per_token", changes=changes))


def test_a_guard_has_a_side_and_needs_a_margin() -> None:
    sides = {
        direction: study(direction=direction, margin=0.1).contrasts["main"].guarded
        for direction in ("not_higher", "not_lower", "higher", "equivalent")
    }
    assert sides == {
        "not_higher": "higher",
        "not_lower": "lower",
        "higher": None,
        "equivalent": None,
    }
    message = (
        r"main.margin is missing: expected the largest difference that is tolerated, .*not_lower"
    )
    with pytest.raises(UserError, match=message):
        check(study(direction="not_lower"))
    with pytest.raises(UserError, match=r"main\.question: expected text that is not"):
        check(study(question=" "))
