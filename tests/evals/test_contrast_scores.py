import dataclasses
from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import AveragesConfig, ContrastConfig, EvaluatorConfig, StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import UserError
from codepretrain.evals.contrast_scores import (
    check_contrast_scores,
    contrast_units,
    full_contrasts,
    full_pareto,
)
from tests.evals.test_averaged_scores import study as averaged

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def study(metric: str) -> StudyConfig:
    contrast = ContrastConfig(variants=("a", "b"), metric=metric, direction="higher")
    config = averaged("suite/boolq/accuracy", "human_eval")
    suite = EvaluatorConfig(kind="harness", options={"tasks": "world_knowledge,boolq"})
    evals = {**config.evals, "suite": suite}
    return dataclasses.replace(config, evals=evals, contrasts={"main": contrast})


@pytest.mark.parametrize(
    ("metric", "full", "units"),
    [
        ("first", "first", {("fraction", "higher")}),
        ("total", "total", {("fraction", "higher")}),
        ("human_eval", "human_eval/pass_at_1", {("fraction", "higher")}),
        (
            "loss/source/text/nats_per_token",
            "loss/source/text/nats_per_token",
            {("nats/token", "lower")},
        ),
        ("loss/all/bits_per_byte", "loss/all/bits_per_byte", {("bits/byte", "lower")}),
        (
            "suite/triviaqa/score/exact_match",
            "suite/triviaqa/score/exact_match",
            {("fraction", "higher"), ("value", "higher"), ("value", "lower")},
        ),
    ],
)
def test_the_metric_of_a_contrast(metric: str, full: str, units: set[tuple[str, str]]) -> None:
    config = study(metric)
    check_contrast_scores(config)
    assert full_contrasts(config)["main"].metric == full
    assert contrast_units(config, "config.contrasts.main", config.contrasts["main"]) == units


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("suite", "an evaluation of kind 'harness' has no single primary metric"),
        ("loss", "has no single primary metric: name one as 'loss/<metric>'"),
        ("human_eval/accuracy", "has no score 'accuracy'; expected one of"),
        ("suite/bolq/accuracy", "config.evals.suite does not score 'bolq/accuracy'; .* boolq"),
        ("loss/source/prose/nats_per_token", "config.evals.loss does not score 'source/prose/"),
        ("loss/kind/code/nats_per_token", "does not score 'kind/code/nats_per_token'"),
    ],
)
def test_what_no_evaluation_scores_is_an_error(metric: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^config.contrasts.main.metric: .*{message}"):
        check_contrast_scores(study(metric))


def test_without_averages() -> None:
    config = dataclasses.replace(study("human_eval"), averages=AveragesConfig())
    check_contrast_scores(config)


def check_all(config: StudyConfig) -> None:
    check(config)
    check_contrast_scores(config)


def test_the_metrics_of_the_pareto_plot_are_checked_and_named_in_full() -> None:
    config = load_study(EXPERIMENTS / "controlled.py", [])
    assert full_pareto(config) == ("fact/bits_per_answer", "story/bits_per_answer")
    check_contrast_scores(config)
    for pareto, message in (
        (("fact", "fact"), "config.pareto: expected two different metrics"),
        (("fact/bits_per_answer", "story/nonsense"), r"config.pareto\[1\]"),
        (("fact/bits_per_answer", "exam"), "there is no average or evaluation 'exam'"),
    ):
        with pytest.raises(UserError, match=message):
            check_all(dataclasses.replace(config, pareto=pareto))
    assert full_pareto(dataclasses.replace(config, pareto=())) == ()
