"""The result of an evaluation by the harness: metrics of each task, averages, and item scores."""

from collections.abc import Sequence

import numpy as np

from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.harness.averages import average
from codepretrain.evals.harness.metrics import (
    AVERAGE,
    AVERAGE_BITS,
    CATEGORY_AVERAGE,
    UNFILTERED_AVERAGE,
    UNFILTERED_CATEGORY_AVERAGE,
)
from codepretrain.evals.harness.task_scores import TaskScores
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import Metric, MetricSpec


class _Result:
    """A result that is being put together."""

    def __init__(self, tasks: Sequence[TaskScores]) -> None:
        self.tasks = tasks
        self.metrics: dict[str, Metric] = {}
        self.scores: dict[str, np.ndarray] = {}
        ends = np.cumsum([len(task.ids) for task in tasks])
        self._slices = [slice(end - len(t.ids), end) for end, t in zip(ends, tasks, strict=True)]
        self._num_items = int(ends[-1])

    def add_task(self, number: int) -> None:
        """Adds the metrics of one task, with the scores of its items."""
        task = self.tasks[number]
        for metric, score in task.items.items():
            name = f"{task.name}/{metric}"
            estimate = score.estimate(task.clusters)
            self.metrics[name] = score.spec.metric(estimate, null_value=score.null_value)
            if score.is_kept:
                self.scores[name] = self._spread(number, score.values)
                if score.weights is not None:
                    self.scores[f"{name}/weight"] = self._spread(number, score.weights)
        for metric, (spec, estimate) in task.aggregates.items():
            self.metrics[f"{task.name}/{metric}"] = spec.metric(estimate)

    def add_average(
        self, name: str, spec: MetricSpec, chosen: Sequence[str | None], categories: Sequence[str]
    ) -> None:
        """Adds an average of the chosen metric of each task, if any has one."""
        found = average(self.tasks, chosen, categories=categories)
        if found is None:
            return
        self.metrics[name] = spec.metric(found.estimate, null_value=found.null_value)
        self.scores[name] = found.scores
        self.scores[f"{name}/weight"] = found.weights
        self.scores[f"{name}/stratum"] = found.strata

    def _spread(self, number: int, values: np.ndarray) -> np.ndarray:
        """Returns an array over all items, NaN for those of other tasks."""
        spread = np.full(self._num_items, np.nan)
        spread[self._slices[number]] = values
        return spread


def assemble(tasks: Sequence[TaskScores], *, excluded: Sequence[str]) -> EvalResult:
    """Returns the result of all tasks; `excluded` ones are left out of the averages."""
    result = _Result(tasks)
    categories = list(dict.fromkeys(task.category for task in tasks))
    main = [task.main for task in tasks]
    kept = [None if task.name in excluded else task.main for task in tasks]
    families = [(AVERAGE, CATEGORY_AVERAGE, kept)]
    if excluded:
        families.append((UNFILTERED_AVERAGE, UNFILTERED_CATEGORY_AVERAGE, main))
    for whole, part, chosen in families:
        result.add_average(whole.name, whole, chosen, categories)
        for category in categories if len(categories) > 1 else ():
            result.add_average(f"{whole.name}/{category}", part, chosen, [category])
    bits = ["bits_per_byte" if "bits_per_byte" in task.items else None for task in tasks]
    result.add_average(AVERAGE_BITS.name, AVERAGE_BITS, bits, categories)
    for number in range(len(tasks)):
        result.add_task(number)
    items = ItemScores(
        ids=[name for task in tasks for name in task.ids],
        scores=result.scores,
        records=[record for task in tasks for record in task.records],
        clusters=[name for task in tasks for name in task.clusters],
    )
    return EvalResult(result.metrics, items)
