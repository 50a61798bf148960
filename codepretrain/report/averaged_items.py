"""The items of an average over several evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.metric import Metric
from codepretrain.report.arms import ScoresReader
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.paired import PairedScores


@dataclass(frozen=True)
class Part:
    """A score of an average, as it was recorded, with its share of the average."""

    share: float
    evaluation: Evaluation
    name: str

    @property
    def metric(self) -> Metric:
        return self.evaluation.metrics[self.name]


def combined(
    parts: Sequence[Part], read: ScoresReader, *, is_centered: bool = False
) -> PairedScores | None:
    """Returns the items of all parts, each a stratum; None if some were not kept.

    Σ values / Σ weights is the average, and the weights of a part sum to its share.

    Args:
      read: returns the scores per item of an evaluation, by metric.
      is_centered: whether each part is (a - c) / (1 - c) for its chance c, 0 where it has none.

    Raises:
      ValueError: a file of item scores is damaged.
    """
    ids: list[str] = []
    clusters: list[str] = []
    columns = []
    num_strata = 0
    for part in parts:
        scores = read(part.evaluation).get(part.name)
        if scores is None:
            return None
        weights = np.ones_like(scores.values) if scores.weights is None else scores.weights
        strata = np.zeros_like(scores.values) if scores.strata is None else scores.strata
        names, stratum = np.unique(strata, return_inverse=True)
        scale = part.share / weights.sum()
        values = scores.values
        chance = (part.metric.null_value or 0.0) if is_centered else 0.0
        values = (values - chance * weights) / (1 - chance)
        ranges = np.full_like(values, 1 / (1 - chance))
        columns.append(np.stack([scale * values, scale * weights, num_strata + stratum, ranges]))
        ids += [f"{part.evaluation.evaluator}/{part.name}/{name}" for name in scores.ids]
        clusters += scores.clusters
        num_strata += len(names)
    values, weights, strata, ranges = np.concatenate(columns, axis=1)
    return PairedScores(
        ids=ids,
        clusters=clusters,
        values=values,
        weights=weights,
        strata=strata,
        item_range=ranges if is_centered else None,
    )
