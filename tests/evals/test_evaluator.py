import dataclasses
from types import MappingProxyType

import numpy as np
import pytest

from codepretrain.evals.estimate import Estimate
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import MetricSpec
from codepretrain.evals.progress import Progress, no_progress

SCORE = MetricSpec(
    name="score/*", unit="points", direction="higher", cluster="item", is_primary=True
)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    pass


class Scored:
    identity = MappingProxyType({"items": "i"})

    def __call__(self, params: object, progress: Progress) -> EvalResult:
        return result("score/a")


def kind(*metrics: MetricSpec) -> EvaluatorKind[NoOptions]:
    return EvaluatorKind(
        name="k",
        options=NoOptions,
        metrics=metrics,
        build=lambda request, resources: Scored(),
    )


def result(name: str) -> EvalResult:
    metric = SCORE.metric(Estimate(1.0, 0.5, 4))
    return EvalResult(
        {name: metric}, ItemScores(list("abcd"), {name: np.ones(4)}, [], list("abcd"))
    )


def test_a_result_must_match_one_declaration() -> None:
    kind(SCORE).check_result(result("score/a"))
    with pytest.raises(AssertionError, match="k: other matches 0 declarations"):
        kind(SCORE).check_result(result("other"))
    twice = dataclasses.replace(SCORE, name="*")
    with pytest.raises(AssertionError, match="k: score/a matches 2 declarations"):
        kind(SCORE, twice).check_result(result("score/a"))


def test_an_evaluator_is_known_by_a_primary_metric() -> None:
    with pytest.raises(AssertionError, match="k: no primary metric"):
        kind(dataclasses.replace(SCORE, is_primary=False))


def test_no_progress_reports_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    no_progress(1, 2, "rows")
    assert capsys.readouterr() == ("", "")
