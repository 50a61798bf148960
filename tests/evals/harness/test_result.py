import math
from collections.abc import Sequence

import numpy as np
import pytest

from codepretrain.evals.harness.declaration import EVALUATOR
from codepretrain.evals.harness.item_score import ItemScore
from codepretrain.evals.harness.metrics import ACCURACY, BITS_PER_BYTE, SCORE
from codepretrain.evals.harness.result import assemble
from codepretrain.evals.harness.task_scores import TaskScores


def task(
    name: str, category: str, values: Sequence[float], null: float = 0.5, metric: str = "accuracy"
) -> TaskScores:
    spec = ACCURACY if metric == "accuracy" else SCORE
    ids = [f"{name}/{n}" for n in range(len(values))]
    scores = {metric: ItemScore(spec, np.array(values, np.float64), None, null)}
    records = [{"id": identity} for identity in ids]
    return TaskScores(name, category, ids, ids, scores, metric, {}, records)


TASKS = [
    task("boolq", "reasoning", [1, 0, 1, 1]),
    task("cb", "reasoning", [1, 0], null=1 / 3),
    task("nq", "knowledge", [0, 0, 0, 1, 0], null=0.0, metric="score/exact_match"),
]


def test_the_average_is_over_categories_and_within_them_over_tasks() -> None:
    result = assemble(TASKS, excluded=())
    average = result.metrics["average"]
    assert average.value == pytest.approx(((0.75 + 0.5) / 2 + 0.2) / 2)
    assert average.null_value == pytest.approx(((0.5 + 1 / 3) / 2 + 0.0) / 2)
    assert average.is_primary
    assert (average.count, average.num_items) == (11, 11)
    assert result.metrics["average/reasoning"].value == pytest.approx(0.625)
    assert result.metrics["average/knowledge"].value == pytest.approx(0.2)
    # Weights of the tasks' own errors: 1/4, 1/4, 1/2.
    errors = [result.metrics[f"{n}"].standard_error for n in ("boolq/accuracy", "cb/accuracy")]
    errors.append(result.metrics["nq/score/exact_match"].standard_error)
    expected = math.hypot(errors[0] / 4, errors[1] / 4, errors[2] / 2)
    assert average.standard_error == pytest.approx(expected)


def test_the_average_is_the_ratio_of_sums_of_its_item_scores() -> None:
    """What the report compares two models by."""
    result = assemble(TASKS, excluded=())
    for name in ("average", "average/reasoning", "average/knowledge"):
        scores, weights = result.items.scores[name], result.items.scores[f"{name}/weight"]
        assert np.nansum(scores) / np.nansum(weights) == pytest.approx(result.metrics[name].value)
    assert result.items.scores["average/stratum"].tolist() == [0] * 4 + [1] * 2 + [2] * 5
    assert np.isnan(result.items.scores["average/knowledge"][:6]).all()


def test_each_task_has_its_own_items() -> None:
    result = assemble(TASKS, excluded=())
    assert list(result.items.ids)[3:5] == ["boolq/3", "cb/0"]
    scores = result.items.scores["cb/accuracy"]
    assert np.isnan(scores[[0, 1, 2, 3, 6, 7, 8, 9, 10]]).all()
    assert scores[4:6].tolist() == [1, 0]
    assert result.metrics["cb/accuracy"].null_value == pytest.approx(1 / 3)
    assert [record["id"] for record in result.items.records] == list(result.items.ids)


def test_excluded_tasks_leave_the_average_and_stay_in_the_unfiltered_one() -> None:
    result = assemble(TASKS, excluded=("cb",))
    assert result.metrics["average"].value == pytest.approx((0.75 + 0.2) / 2)
    assert result.metrics["average/reasoning"].value == pytest.approx(0.75)
    assert result.metrics["unfiltered_average"].value == pytest.approx((0.625 + 0.2) / 2)
    assert result.metrics["unfiltered_average/reasoning"].value == pytest.approx(0.625)
    assert result.metrics["cb/accuracy"].value == 0.5
    assert not result.metrics["unfiltered_average"].is_primary
    assert "unfiltered_average" not in assemble(TASKS, excluded=()).metrics


def test_one_category_needs_no_averages_of_categories() -> None:
    result = assemble(TASKS[:2], excluded=())
    assert [name for name in result.metrics if "average" in name] == ["average"]


def test_tasks_of_whole_texts_have_an_average_of_their_own() -> None:
    bits = {"bits_per_byte": ItemScore(BITS_PER_BYTE, np.array([8.0, 4.0]), np.array([4.0, 4.0]))}
    pages = TaskScores("pages", "c", ["pages/0", "pages/1"], ["a", "b"], bits, None)
    result = assemble([*TASKS, pages], excluded=())
    assert result.metrics["average_bits_per_byte"].value == pytest.approx(1.5)
    assert result.metrics["average"].value == pytest.approx(0.4125)
    alone = assemble([pages], excluded=())
    assert {name for name, metric in alone.metrics.items() if metric.is_primary} == {
        "average_bits_per_byte"
    }


def test_every_metric_is_declared() -> None:
    EVALUATOR.check_result(assemble(TASKS, excluded=("cb",)))
