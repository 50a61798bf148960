"""Paired differences: the scores of two models on the same items.

The difference is taken item by item, so the difficulty of an item cancels. Items of one cluster,
such as the questions about one passage, are correlated, so its error is over clusters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.inference.crossed import difference
from codepretrain.inference.linearized import item_variance, linearize
from codepretrain.inference.pairing import check_groups, places_of
from codepretrain.inference.scores import ArmScores
from codepretrain.report.statistics import Difference


@dataclass(frozen=True, kw_only=True)
class PairedScores:
    """One value per evaluation item; the metric is Σ values / Σ weights.

    Attributes:
      ids: what identifies each of the I items; models are paired by it, in any order.
      clusters: the cluster of each item, the independently sampled unit.
      values: [I] float64.
      weights: [I] float64, or None where every item has weight one.
      strata: [I], the group of each item, where the groups' shares of the whole are known and only
        the clusters within a group are a sample (an average over sources); None for one group.
      item_range: [I], the largest possible difference between two models' values of each item of
        weight one; None where the metric tells.
    """

    ids: Sequence[str]
    clusters: Sequence[str]
    values: np.ndarray
    weights: np.ndarray | None = None
    strata: np.ndarray | None = None
    item_range: np.ndarray | None = None

    @property
    def filled_weights(self) -> np.ndarray:
        """Returns the weights, ones where there are none: [I]."""
        return np.ones_like(self.values) if self.weights is None else self.weights

    @property
    def filled_strata(self) -> np.ndarray:
        """Returns the strata, zeros where there are none: [I]."""
        return np.zeros_like(self.values) if self.strata is None else self.strata

    def take(self, places: np.ndarray) -> "PairedScores":
        """Returns the items at some places."""
        return PairedScores(
            ids=[self.ids[place] for place in places],
            clusters=[self.clusters[place] for place in places],
            values=self.values[places],
            weights=None if self.weights is None else self.weights[places],
            strata=None if self.strata is None else self.strata[places],
            item_range=None if self.item_range is None else self.item_range[places],
        )


def paired_difference(
    ours: PairedScores, baseline: PairedScores, *, is_fraction: bool = False
) -> Difference:
    """Returns our metric minus the baseline's over the same items, in whatever order.

    That of `inference/crossed.py` between checkpoints, as in every other section.

    Args:
      is_fraction: whether each value is a share of its weight. Values without weights that are all
        0 or 1 are taken as fractions in any case.

    Raises:
      ValueError: the two have other items, or place an item in other clusters or strata.
    """
    pair = [stacked([one], is_fraction=is_fraction) for one in (ours, aligned(ours, baseline))]
    return Difference.of(difference(*pair, between="checkpoints"))


def aligned(ours: PairedScores, baseline: PairedScores) -> PairedScores:
    """Returns the baseline's items in our order.

    Raises:
      ValueError: the two have other items, or place an item in other clusters or strata.
    """
    found = baseline.take(places_of(ours.ids, baseline.ids))
    check_groups(ours.clusters, found.clusters, ours.filled_strata, found.filled_strata)
    return found


def stacked(runs: Sequence[PairedScores], *, is_fraction: bool) -> ArmScores:
    """Returns an arm with the aligned scores of its runs.

    Args:
      is_fraction: whether each value is a share of its weight, where no range is given.
    """
    first = runs[0]
    is_weighted = any(scores.weights is not None for scores in runs)
    range_of_metric = 1.0 if is_fraction else None
    return ArmScores(
        ids=first.ids,
        clusters=first.clusters,
        values=np.stack([scores.values for scores in runs]),
        weights=np.stack([scores.filled_weights for scores in runs]) if is_weighted else None,
        strata=first.strata,
        item_range=range_of_metric if first.item_range is None else first.item_range,
    )


def ratio_error(scores: PairedScores) -> tuple[float, float]:
    """Returns the standard error of Σ values / Σ weights, and its degrees of freedom.

    By linearization (`inference/linearized.py`). The error is NaN if a stratum has a single
    cluster, or a value is not finite.
    """
    strata = linearize([stacked([scores], is_fraction=False)]).strata
    variance, freedom = item_variance(strata, [of.errors[0][0] for of in strata])
    return math.sqrt(variance), freedom
