"""The items of an average over several evaluations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.metric import Metric
from codepretrain.report.evaluations import Evaluation, read_scores
from codepretrain.report.paired import PairedScores

_MAX_KEPT = 32  # evaluations: several averages are of the same


@dataclass(frozen=True)
class Part:
    """A score of an average, as it was recorded, with its share of the average."""

    share: float
    evaluation: Evaluation
    name: str

    @property
    def metric(self) -> Metric:
        return self.evaluation.metrics[self.name]


class Items:
    """Reads the item scores of evaluations, each once while it is among the last ones read.

    Args:
      names: evaluator → the metrics to read.
    """

    def __init__(self, names: Mapping[str, Collection[str]]) -> None:
        self._names = names
        self._kept: dict[tuple[str, str, int], Mapping[str, PairedScores]] = {}

    def of(self, evaluation: Evaluation) -> Mapping[str, PairedScores]:
        """Returns the scores by metric, {} if they were not kept.

        Raises:
          ValueError: the file is damaged.
        """
        key = evaluation.folder, evaluation.evaluator, evaluation.step
        found = self._kept.pop(key, None)
        if found is None:
            found = read_scores(evaluation, self._names[evaluation.evaluator])
        self._kept[key] = found
        if len(self._kept) > _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return found


def combined(
    parts: Sequence[Part], items: Items, *, is_centered: bool = False
) -> PairedScores | None:
    """Returns the items of all parts, each a stratum; None if some were not kept.

    Σ values / Σ weights is the average, and the weights of a part sum to its share.

    Args:
      is_centered: whether each part is (a - c) / (1 - c) for its chance c, 0 where it has none.

    Raises:
      ValueError: a file of item scores is damaged.
    """
    ids: list[str] = []
    clusters: list[str] = []
    columns = []
    num_strata = 0
    for part in parts:
        scores = items.of(part.evaluation).get(part.name)
        if scores is None:
            return None
        weights = np.ones_like(scores.values) if scores.weights is None else scores.weights
        strata = np.zeros_like(scores.values) if scores.strata is None else scores.strata
        names, stratum = np.unique(strata, return_inverse=True)
        scale = part.share / weights.sum()
        values = scores.values
        if is_centered:
            chance = part.metric.null_value or 0.0
            values = (values - chance * weights) / (1 - chance)
        columns.append(np.stack([scale * values, scale * weights, num_strata + stratum]))
        ids += [f"{part.evaluation.evaluator}/{part.name}/{name}" for name in scores.ids]
        clusters += scores.clusters
        num_strata += len(names)
    values, weights, strata = np.concatenate(columns, axis=1)
    return PairedScores(ids=ids, clusters=clusters, values=values, weights=weights, strata=strata)
