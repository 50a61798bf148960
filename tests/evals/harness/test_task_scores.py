import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codepretrain.evals.harness.metrics import AGGREGATE, BITS_PER_BYTE, LOWER_AGGREGATE, SCORE
from codepretrain.evals.harness.render import Item
from codepretrain.evals.harness.task_scores import grade_task, resampled
from tests.evals.harness.grading import Graded, choice_item, rendered


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def answered(number: int, kind: str, answer: Any) -> Item:
    request = SimpleNamespace(
        request_type=kind, args=(f"prompt {number}",), resps=[answer], filtered_resps={}
    )
    return Item(f"task/{number}", f"c{number // 2}", {"n": number}, [request])


def test_a_number_per_item_is_a_mean_over_passages() -> None:
    task = Graded([{"exact_match": 1.0}, {"exact_match": 0}, {"exact_match": True}])
    items = [answered(n, "generate_until", f"text {n}") for n in range(3)]
    graded = grade_task(rendered(items, kind="generate_until", task=task))
    score = graded.items["score/exact_match"]
    assert score.spec is SCORE
    assert graded.main == "score/exact_match"
    assert score.values.tolist() == [1, 0, 1]
    assert score.null_value == 0.0
    estimate = score.estimate(graded.clusters)
    assert (estimate.value, estimate.count) == (pytest.approx(2 / 3), 2)
    assert graded.records[1] == {
        "id": "task/1",
        "cluster": "c0",
        "prompt": "prompt 1",
        "completions": ["text 1"],
        "exact_match": 0,
    }


def test_a_metric_of_all_items_has_the_spread_of_resampled_passages() -> None:
    def perplexity(values: list[float]) -> float:
        return math.exp(-mean(values))

    task = Graded([{"perplexity": -float(n)} for n in range(4)], {"perplexity": perplexity})
    items = [answered(n, "loglikelihood", (-1.0, False)) for n in range(4)]
    graded = grade_task(rendered(items, kind="loglikelihood", task=task))
    spec, estimate = graded.aggregates["aggregate/perplexity"]
    assert spec is LOWER_AGGREGATE
    assert estimate.value == pytest.approx(math.exp(1.5))
    assert (estimate.count, estimate.num_items) == (2, 4)
    assert graded.main is None


def test_resampling_agrees_with_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(3).normal(size=400).tolist()
    estimate = resampled(mean, values, [str(n) for n in range(400)])
    assert estimate.standard_error == pytest.approx(np.std(values) / 20, rel=0.15)
    assert estimate == resampled(mean, values, [str(n) for n in range(400)])
    assert math.isnan(resampled(mean, values, ["one"] * 400).standard_error)


def test_a_perplexity_that_no_float_holds_is_infinite() -> None:
    """Per word of a text without spaces, such as Chinese: e to the power of thousands."""

    def perplexity(values: list[float]) -> float:
        return math.exp(-mean(values))

    estimate = resampled(perplexity, [-2000.0, -3000.0, -1.0], ["a", "b", "c"])
    assert estimate.value == math.inf
    assert math.isnan(estimate.standard_error)
    partly = resampled(perplexity, [-2000.0, -1.0, -1.0, -1.0], [*"abcd"])
    assert partly.value == pytest.approx(math.exp(2003 / 4))
    assert math.isnan(partly.standard_error)


def test_a_resample_without_weight_leaves_the_spread_unknown() -> None:
    def ratio(values: list[tuple[float, float]]) -> float:
        totals, weights = zip(*values, strict=True)
        return sum(totals) / sum(weights)

    estimate = resampled(ratio, [(0.0, 0.0), (3.0, 2.0)], ["empty", "b"])
    assert estimate.value == 1.5
    assert math.isnan(estimate.standard_error)
    assert math.isnan(resampled(ratio, [(0.0, 0.0)] * 2, ["a", "b"]).value)


def test_whole_texts_have_bits_per_byte() -> None:
    task = Graded([{"bits_per_byte": (-7.0, 10)}, {"bits_per_byte": (-2.0, 20)}])
    items = [answered(n, "loglikelihood_rolling", -7.0) for n in range(2)]
    graded = grade_task(rendered(items, kind="loglikelihood_rolling", task=task))
    score = graded.items["bits_per_byte"]
    assert score.spec is BITS_PER_BYTE
    assert score.estimate(["a", "b"]).value == pytest.approx(9 / math.log(2) / 30)


def test_multiple_choice_keeps_the_harnesss_other_metrics() -> None:
    f1 = {"f1": lambda pairs: float(len(pairs))}
    task = Graded([{"acc": 1.0, "acc_norm": 0.0, "f1": (0, 1)}] * 2, f1)
    items = [choice_item(n, ["no", "yes"], [0], [-1.0, -2.0]) for n in range(2)]
    graded = grade_task(rendered(items, task=task))
    assert graded.main == "accuracy"
    assert graded.aggregates["aggregate/f1"][0] is AGGREGATE
    assert not [name for name in graded.items if name.startswith("score/")]
