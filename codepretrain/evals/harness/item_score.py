"""A metric of a task as the scores of its items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.estimate import Estimate, clustered_mean
from codepretrain.evals.metric import MetricSpec


@dataclass(frozen=True)
class ItemScore:
    """A metric that is Σ values / Σ weights over the items of a task: [n] each.

    is_kept: whether the scores are written with the items, to compare models by them.
    """

    spec: MetricSpec
    values: np.ndarray
    weights: np.ndarray | None = None
    null_value: float | None = None
    is_kept: bool = True

    def estimate(self, clusters: Sequence[str]) -> Estimate:
        used = np.isfinite(self.values)
        weights = None if self.weights is None else self.weights[used]
        names = [cluster for cluster, is_used in zip(clusters, used, strict=True) if is_used]
        return clustered_mean(self.values[used], names, weights=weights)
