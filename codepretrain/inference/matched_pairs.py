"""The items' part of a contrast of bounded scores: that of matched pairs, and of two more.

The variance over clusters is 0 where no items differ, and far too small where few do: of a rare
answer, most samples have none. So to n pairs with a mean difference D and a variance V of D, two
are added of which half an item each was won, lost, both and neither:

    D' = D·n / (n + 2)        V' = (n²·V + r² + 2·D²·n / (n + 2)) / (n + 2)²

for scores with a range of r, which is the adjusted interval of Agresti and Min where every cluster
is one item. Items of a cluster may be right together, so n is the effective number of items: items
over the design effect, the variance over clusters over that of as many independent items. Of a few
items that differ, a design effect is hardly known, and where none differ nothing is. So it is the
mean of the estimate, which counts as many times as clusters vary, and of its largest possible
value, where all items of a cluster are alike, which counts six times.

All shifts D - D' together would move a difference in many small tasks by more than its standard
error. So of several strata, only a part f of them is applied, which makes their sum at most the
root of the sum of their squares, and n² in V' is (n + 2·(1 - f))².

In simulations of rare answers (LOG.md) the variance alone covered the true difference in as few as
2%, and pairs with the estimated design effect alone in 76%. Whole clusters as pairs covered it
mostly; where items are nearly independent, their intervals are up to twice as wide as these.

Source: Agresti & Min 2005, Statistics in Medicine 24, 729–740, "Wald+2", which is normal; Korn &
Graubard 1998, Survey Methodology 24, 193–201 (the effective number, where the estimated design
effect counts alone).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.inference.linearized import (
    BoundedItems,
    Stratum,
    item_variance,
    over_clusters,
    weighted_mean,
)

_LIKE_CLUSTERS = 6.0  # how many clusters count whose items are alike
_EQUAL = 1e-12  # of the range: differences that differ by less are the same


@dataclass(frozen=True)
class ItemsPart:
    """The items' part of a contrast.

    Attributes:
      shift: what the two pairs take off the value of the contrast; 0 where it stays.
      variance: over items. NaN if a stratum has a single cluster, or a score is not finite.
      freedom: degrees of freedom of the variance.
      added: how much the variance is more than that over clusters.
    """

    shift: float
    variance: float
    freedom: float
    added: float


@dataclass(frozen=True, kw_only=True)
class _TwoPairs:
    """A stratum's two pairs, as parts of the contrast over all strata.

    Attributes:
      count: n, infinite where no pairs are added.
      biased: V.
      bound: r.
      gap: D.
    """

    count: float
    biased: float
    bound: float
    gap: float

    @property
    def shift(self) -> float:
        """Returns D - D'."""
        return 2 * self.gap / (self.count + 2)

    def variance(self, part: float) -> float:
        """Returns the variance where a part of the shift is applied: V' with all of it."""
        if math.isinf(self.count):
            return self.biased
        total = self.count + 2
        kept = self.count + 2 * (1 - part)
        added = self.bound**2 + 2 * self.gap**2 * self.count / total
        return (kept**2 * self.biased + added) / total**2


def items_part(strata: Sequence[Stratum], weights: np.ndarray, *, is_shifted: bool) -> ItemsPart:
    """Returns the items' part, with two more pairs in each stratum of bounded scores.

    In each stratum by itself: with the clusters of all together, a task of 10 items would hide
    behind one of 1,000 that has the same share.

    Args:
      weights: of the arms. If they do not sum to 0, the value is no difference, and stays.
      is_shifted: whether the interval is around the shifted value. Otherwise the square of the
        shift is part of the variance, which is then at least that without more pairs.
    """
    errors = [weighted_mean(weights, one.errors) for one in strata]
    own = [float(np.sum(of**2)) for of in errors]
    pairs = [_with_two_pairs(*of, weights) for of in zip(strata, own, strict=True)]
    shifts = [one.shift for one in pairs]
    if is_shifted and _is_difference(weights):
        part = _part_of_shifts(strata, shifts)
        variances = [one.variance(part) for one in pairs]
    else:
        part = 0.0
        largest = [one.variance(1.0) + one.shift**2 for one in pairs]
        variances = [float(np.maximum(*of)) for of in zip(own, largest, strict=True)]
    added = [with_pairs - of for with_pairs, of in zip(variances, own, strict=True)]
    variance, freedom = item_variance(strata, errors, added)
    without, _ = item_variance(strata, errors)
    return ItemsPart(part * sum(shifts), variance, freedom, variance - without)


def _part_of_shifts(strata: Sequence[Stratum], shifts: Sequence[float]) -> float:
    """Returns how much of the shifts to apply, at most 1.

    Shifts of many strata in one direction add up, and their errors do not, so that their sum is
    limited to the root of the sum of squares.
    """
    total = abs(sum(shifts))
    over = over_clusters(
        strata, [one.spread(of)[np.newaxis] for one, of in zip(strata, shifts, strict=True)]
    )
    limit = float(np.sum(over**2)) ** 0.5
    return limit / total if total > limit else 1.0


def _weighted(weights: np.ndarray, of_arms: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the sum over arms that have a weight."""
    pairs = zip(weights, of_arms, strict=True)
    return np.asarray(sum(weight * of for weight, of in pairs if weight))


def _is_difference(weights: np.ndarray) -> bool:
    return bool(abs(weights.sum()) <= _EQUAL * np.abs(weights).max())


def _with_two_pairs(stratum: Stratum, own: float, weights: np.ndarray) -> _TwoPairs:
    """Returns the two pairs of a stratum; none where scores have no bounds.

    Args:
      own: V, over clusters.
    """
    items = stratum.items
    if items is None:
        return _TwoPairs(count=math.inf, biased=own, bound=0.0, gap=0.0)
    squares = np.square(weights)
    # Two arms differ by their range, and of others each by as much with half of the variance.
    bound = items.item_range * max(float(squares.max()), float(squares.sum()) / 2) ** 0.5
    bound *= stratum.share
    gap = 0.0
    if _is_difference(weights):
        gap = stratum.share * float(weighted_mean(weights, stratum.ratios))
    count = _effective_number(items, weights, own, least=_EQUAL * bound)
    biased = own * (1 - 1 / items.effective_clusters)  # as the source: over n, not n - 1
    return _TwoPairs(count=count, biased=biased, bound=bound, gap=gap)


def _effective_number(
    items: BoundedItems, weights: np.ndarray, variance: float, *, least: float
) -> float:
    """Returns the effective number of items of a contrast.

    Args:
      variance: over clusters.
      least: items whose errors are smaller are alike.
    """
    of_items = np.square(_weighted(weights, items.errors))
    independent = float(np.sum(of_items))
    of_clusters = np.bincount(items.cluster_of, of_items)
    as_clusters = (len(of_clusters) * items.effective_clusters) ** 0.5
    if not independent > least**2:
        return as_clusters
    # As many clusters as would have this sum with equal parts.
    num_varied = independent**2 / float(np.sum(of_clusters**2))
    largest = items.effective_items / items.effective_clusters
    estimated = float(np.clip(variance / independent, 1.0, largest))
    if_alike = items.effective_items / as_clusters
    effect = (num_varied * estimated + _LIKE_CLUSTERS * if_alike) / (num_varied + _LIKE_CLUSTERS)
    return items.effective_items / effect
