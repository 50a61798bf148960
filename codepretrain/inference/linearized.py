"""The error of each replicate's metric, cluster by cluster, by linearization.

For replicate s with the ratio R = Σy / Σx over clusters, a cluster adds e = (y - r·x) / Σx to the
error of R, where y and x are sums over its items and r is the ratio of its stratum, since the
shares of strata are known. Everything after that is linear: an arm's error is the mean over its
replicates, and that of a contrast is the weighted sum over arms. Errors are scaled by √d of
`evals/unequal_clusters.py`, so that Σ (√d·e)² is an unbiased variance.

S replicates, C clusters.
Source: Cochran, Sampling Techniques (3rd ed.), sections 5.4 and 6.10.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.estimate import satterthwaite
from codepretrain.evals.unequal_clusters import corrections
from codepretrain.inference.scores import ArmScores


@dataclass(frozen=True)
class Stratum:
    """The clusters of one stratum.

    Attributes:
      clusters: [C] names.
      errors: √d·e, an array [S, C] for each arm.
      freedom: degrees of freedom of a variance over these clusters.
      share: of the weights, the mean over all replicates of all arms.
    """

    clusters: np.ndarray
    errors: tuple[np.ndarray, ...]
    freedom: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Linearized:
    """The metrics of arms and their errors over clusters.

    Attributes:
      values: the metric of each replicate, an array [S] for each arm.
      strata: of all arms.
      item_floor: the smallest variance over items that is believed; 0 if there is no such bound.
    """

    values: tuple[np.ndarray, ...]
    strata: tuple[Stratum, ...]
    num_items: int
    item_floor: float = 0.0

    @property
    def num_replicates(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.values)

    @property
    def num_clusters(self) -> int:
        return len({name for stratum in self.strata for name in stratum.clusters})


def linearize(arms: Sequence[ArmScores]) -> Linearized:
    """Returns the metrics and errors of aligned arms (`scores.aligned`).

    Items that are empty (value and weight 0) in every arm are left out. The floor of the variance
    of a bounded score is that of C equal answers and two more pairs, of which half an item each was
    won and lost, item_range² / (C + 2)², in each stratum by itself: Σ share² · item_range² /
    (C + 2)². With the clusters of all strata together, a task of 10 items would hide behind one of
    1,000 that has the same share.
    Source: Agresti & Min 2005, Statistics in Medicine 24, 729–740, "Wald+2".
    """
    columns = [(arm.values, arm.filled_weights) for arm in arms]
    is_filled = np.any([y.any(axis=0) | x.any(axis=0) for y, x in columns], axis=0)
    names = np.asarray(arms[0].clusters, object)
    kind = arms[0].filled_strata
    strata = []
    with np.errstate(invalid="ignore", divide="ignore"):
        values = tuple(y.sum(axis=1) / x.sum(axis=1) for y, x in columns)
        totals = [x.sum(axis=1, keepdims=True) for _, x in columns]
        for one in np.unique(kind[is_filled]):
            is_in = is_filled & (kind == one)
            clusters, cluster_of = np.unique(names[is_in], return_inverse=True)
            sums = [
                (_cluster_sums(y[:, is_in], cluster_of), _cluster_sums(x[:, is_in], cluster_of))
                for y, x in columns
            ]
            strata.append(_stratum(clusters, sums, totals))
    ranges = [arm.item_range for arm in arms]
    widest = max((one or 0.0 for one in ranges), default=0.0) if all(ranges) else 0.0
    return Linearized(
        values=values,
        strata=tuple(strata),
        num_items=int(is_filled.sum()),
        item_floor=sum((of.share * widest / (len(of.clusters) + 2)) ** 2 for of in strata),
    )


def item_variance(strata: Sequence[Stratum], errors: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the variance over clusters of an error that adds over them, and its freedom.

    √d·e of a cluster that is in several strata are added first. The degrees of freedom are
    Satterthwaite's, at most those of the stratum with most where strata share clusters.

    Args:
      errors: [C] for each stratum.
    """
    if not strata:
        return np.nan, 0.0
    freedoms = [stratum.freedom for stratum in strata]
    freedom = satterthwaite([float(np.sum(e**2)) for e in errors], freedoms)
    of_clusters = over_clusters(strata, [e[np.newaxis] for e in errors])
    if of_clusters.shape[1] < sum(map(len, errors)):
        freedom = min(freedom, max(freedoms))
    return float(np.sum(of_clusters**2)), freedom


def over_clusters(strata: Sequence[Stratum], errors: Sequence[np.ndarray]) -> np.ndarray:
    """Returns errors [S, C] with those of a cluster in several strata added.

    Args:
      errors: [S, C] for each stratum.
    """
    if len(strata) == 1:
        return errors[0]
    names = np.concatenate([stratum.clusters for stratum in strata])
    clusters, places = np.unique(names, return_inverse=True)
    joined = np.concatenate(errors, axis=1)
    if len(clusters) == len(places):
        return joined
    return _cluster_sums(joined, places)


def _cluster_sums(columns: np.ndarray, cluster_of: np.ndarray) -> np.ndarray:
    """Returns the sums over the items of each cluster: [S, I] → [S, C]."""
    num_clusters = int(cluster_of.max()) + 1
    return np.stack([np.bincount(cluster_of, row, num_clusters) for row in columns])


def _stratum(
    clusters: np.ndarray,
    sums: Sequence[tuple[np.ndarray, np.ndarray]],
    totals: Sequence[np.ndarray],
) -> Stratum:
    """Returns one stratum.

    Args:
      sums: the sums of values and of weights over the items of each cluster, [S, C], of each arm.
      totals: the sum of weights over all strata, [S, 1], of each arm.
    """
    shares = [x / x.sum(axis=1, keepdims=True) for _, x in sums]
    # All models have the same weights in most metrics.
    share = np.mean([of.mean(axis=0) for of in shares], axis=0)
    factors, freedom = corrections(share)
    errors = [
        np.sqrt(factors) * (y - y.sum(axis=1, keepdims=True) * of) / total
        for (y, _), of, total in zip(sums, shares, totals, strict=True)
    ]
    of_all = [
        (x.sum(axis=1, keepdims=True) / total).mean()
        for (_, x), total in zip(sums, totals, strict=True)
    ]
    return Stratum(clusters, tuple(errors), freedom, float(np.mean(of_all)))
