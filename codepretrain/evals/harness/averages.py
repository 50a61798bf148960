"""Averages over tasks: each category's mean over its tasks, and the mean over categories.

    average = 1/C Σ_c 1/T_c Σ_t 1/n_t Σ_i score of item i      C categories, T_c tasks, n_t items

so a task counts the same however many items it has, and a category the same however many tasks.

Source: Aryabumi et al., 2024, section 2.3: the natural-language average is the mean of reasoning
and knowledge, each the mean over its tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.estimate import Estimate, weighted_average
from codepretrain.evals.harness.task_scores import TaskScores


@dataclass(frozen=True)
class Average:
    """An average of one metric of each task.

    Attributes:
      null_value: the same average of the null values, None if one is unknown.
      scores, weights, strata: arrays over all items of the evaluation, NaN for items that it is not
        of. Σ scores / Σ weights is the average; a stratum is a task.
    """

    estimate: Estimate
    null_value: float | None
    scores: np.ndarray
    weights: np.ndarray
    strata: np.ndarray


def average(
    tasks: Sequence[TaskScores], metrics: Sequence[str | None], *, categories: Sequence[str]
) -> Average | None:
    """Returns the average over the tasks of some categories, None if no task has a metric.

    Args:
      metrics: of each task, the name of the metric that counts, None to leave the task out.
    """
    used = [
        (number, metric)
        for number, (task, metric) in enumerate(zip(tasks, metrics, strict=True))
        if metric is not None and task.category in categories
    ]
    if not used:
        return None
    present = [tasks[number].category for number, _ in used]
    num_categories = len(set(present))
    estimates, shares, nulls = [], [], []
    columns = [np.full((3, len(task.ids)), np.nan) for task in tasks]
    for number, metric in used:
        task = tasks[number]
        score = task.items[metric]
        share = 1 / (num_categories * present.count(task.category))
        estimates.append(score.estimate(task.clusters))
        shares.append(share)
        nulls.append(score.null_value)
        weights = np.ones(len(task.ids)) if score.weights is None else score.weights
        weights = np.where(np.isfinite(score.values), weights, np.nan)
        scale = share / np.nansum(weights)
        stratum = np.full(len(task.ids), number)
        columns[number] = np.stack([scale * score.values, scale * weights, stratum])
    null = None
    if all(value is not None for value in nulls):
        null = float(np.dot(shares, [value or 0.0 for value in nulls]))
    scores, weights, strata = np.concatenate(columns, axis=1)
    return Average(weighted_average(estimates, shares), null, scores, weights, strata)
