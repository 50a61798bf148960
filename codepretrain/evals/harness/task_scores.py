"""Scores of the items of one task, by the harness's own grading and by ours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codepretrain.evals.estimate import Estimate
from codepretrain.evals.harness.choices import grade_choices
from codepretrain.evals.harness.item_score import ItemScore
from codepretrain.evals.harness.metrics import (
    ACCURACY,
    AGGREGATE,
    BITS_PER_BYTE,
    LOWER_AGGREGATE,
    LOWER_SCORE,
    OTHER_SCORE,
    SCORE,
)
from codepretrain.evals.harness.render import Item, RenderedTask
from codepretrain.evals.metric import MetricSpec

_NUM_RESAMPLES = 200
_SHARES = ("exact_match", "acc", "acc_norm", "em", "f1")  # of 0 to 1 on each item


@dataclass(frozen=True)
class TaskScores:
    """All scores of a task.

    Attributes:
      items: metric → its scores of the items; the task's own score is `main`, None if it has none.
      aggregates: metric → its declaration and value.
      records: one object per item, for a reader.
    """

    name: str
    category: str
    ids: Sequence[str]
    clusters: Sequence[str]
    items: Mapping[str, ItemScore]
    main: str | None
    aggregates: Mapping[str, tuple[MetricSpec, Estimate]] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()


def grade_task(task: RenderedTask) -> TaskScores:
    """Returns the scores of a task whose requests have their answers."""
    items, records = _graded(task)
    clusters = [item.cluster for item in task.items]
    scores: dict[str, ItemScore] = {}
    aggregates: dict[str, tuple[MetricSpec, Estimate]] = {}
    if task.kind == "multiple_choice":
        scores, added = grade_choices(task)
        records = [record | more for record, more in zip(records, added, strict=True)]
    for name, values in items.items():
        _add_score(task, name, values, clusters, scores, aggregates)
    shares = [name for name, score in scores.items() if score.spec in (ACCURACY, SCORE)]
    main = next((name for name in shares if "exact_match" in name), shares[0] if shares else None)
    ids = [item.id for item in task.items]
    category = task.loaded.category
    return TaskScores(task.name, category, ids, clusters, scores, main, aggregates, records)


def _graded(task: RenderedTask) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
    """Returns the harness's metrics, as lists over the items, and the records.

    A task with several filters has `<metric>,<filter>`.
    """
    harness: Any = task.loaded.task
    harness._instances = [request for item in task.items for request in item.instances]
    harness.apply_filters()
    filters = list(harness._instances[0].filtered_resps)
    found: dict[str, list[Any]] = {}
    records: list[dict[str, Any]] = []
    for item in task.items:
        record = _record(item)
        for name in filters:
            answers = [request.filtered_resps[name] for request in item.instances]
            for metric, value in harness.process_results(item.document, answers).items():
                full = metric if len(filters) == 1 else f"{metric},{name}"
                found.setdefault(full, []).append(value)
                if isinstance(value, bool | int | float):
                    record[full] = value
        records.append(record)
    return found, records


def _record(item: Item) -> dict[str, Any]:
    """Returns the prompt and the answers of an item, as far as they are text or numbers."""
    first = item.instances[0]
    record: dict[str, Any] = {"id": item.id, "cluster": item.cluster, "prompt": first.args[0]}
    if first.request_type == "generate_until":
        record["completions"] = [text for request in item.instances for text in request.resps]
    elif not item.choices:
        record["log_probabilities"] = [
            answer[0] if isinstance(answer, tuple) else answer
            for request in item.instances
            for answer in request.resps
        ]
    return record


def _add_score(
    task: RenderedTask,
    name: str,
    values: list[Any],
    clusters: Sequence[str],
    scores: dict[str, ItemScore],
    aggregates: dict[str, tuple[MetricSpec, Estimate]],
) -> None:
    """Adds one metric of the harness to the scores or to the aggregates."""
    metric = name.split(",")[0]
    if len(values) != len(task.items):
        return  # the task gives it for some of its items only, without saying for which
    if task.kind == "multiple_choice" and metric in ("acc", "acc_norm"):
        return  # they are `accuracy` and `accuracy_per_character`
    if metric == "bits_per_byte" and task.kind == "loglikelihood_rolling":
        totals, num_bytes = (np.array(column, np.float64) for column in zip(*values, strict=True))
        scores["bits_per_byte"] = ItemScore(BITS_PER_BYTE, -totals / np.log(2), num_bytes)
        return
    harness: Any = task.loaded.task
    is_higher_better = harness.higher_is_better().get(metric, True)
    aggregation = harness.aggregation().get(metric)
    is_mean = aggregation is None or getattr(aggregation, "__name__", "") == "mean"
    if is_mean and all(isinstance(value, bool | int | float | np.number) for value in values):
        null = 0.0 if metric == "exact_match" else None
        spec = LOWER_SCORE
        if is_higher_better:
            spec = SCORE if metric in _SHARES else OTHER_SCORE
        scores[f"score/{name}"] = ItemScore(spec, np.array(values, np.float64), None, null)
        return
    if aggregation is not None:
        spec = AGGREGATE if is_higher_better else LOWER_AGGREGATE
        aggregates[f"aggregate/{name}"] = (spec, resampled(aggregation, values, clusters))


def resampled(
    aggregation: Callable[[list[Any]], float], values: Sequence[Any], clusters: Sequence[str]
) -> Estimate:
    """Returns a metric of all items; its standard error is that over resampled clusters.

    A value that no float holds, such as the perplexity per word of a text without spaces, is
    infinite; one of items without weight is NaN. The standard error is NaN if a resample has one.
    """
    names, cluster_of = np.unique(np.asarray(clusters, object), return_inverse=True)
    members = [np.flatnonzero(cluster_of == number) for number in range(len(names))]
    random = np.random.default_rng(0)

    def once() -> float:
        drawn = random.integers(len(names), size=len(names))
        return _aggregated(aggregation, [values[i] for n in drawn for i in members[n]])

    error = float("nan")
    if len(names) > 1:
        found = [once() for _ in range(_NUM_RESAMPLES)]
        if np.isfinite(found).all():
            error = float(np.std(found, ddof=1))
    value = _aggregated(aggregation, list(values))
    return Estimate(value, error, len(names), len(values))


def _aggregated(aggregation: Callable[[list[Any]], float], values: list[Any]) -> float:
    try:
        return float(aggregation(values))
    except OverflowError:
        return float("inf")
    except ZeroDivisionError:
        return float("nan")
