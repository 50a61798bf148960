"""The error of each replicate's metric, cluster by cluster, by linearization.

For replicate s with the ratio R = Σy / Σx over clusters, a cluster adds e = (y - r·x) / Σx to the
error of R, where y and x are sums over its items and r is the ratio of its stratum, since the
shares of strata are known. Everything after that is linear: an arm's error is the mean over its
replicates, and that of a contrast is the weighted sum over arms. Errors are scaled by √d of
`evals/unequal_clusters.py`, so that Σ (√d·e)² is an unbiased variance.

S replicates, C clusters, I items.
Source: Cochran, Sampling Techniques (3rd ed.), sections 5.4 and 6.10.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from codepretrain.evals.estimate import satterthwaite
from codepretrain.evals.unequal_clusters import corrections
from codepretrain.inference.scores import ArmScores


@dataclass(frozen=True)
class BoundedItems:
    """The items of a stratum of bounded scores, each as if it were a cluster.

    Attributes:
      item_range: the largest possible difference between two models' values of an item.
      cluster_of: [I] places in the stratum's clusters.
      errors: √d·e of each item, the mean over replicates, an array [I] for each arm.
      effective_items: of how many items of equal weight the mean would vary as much.
      effective_clusters: the same of clusters.
    """

    item_range: float
    cluster_of: np.ndarray
    errors: tuple[np.ndarray, ...]
    effective_items: float
    effective_clusters: float


@dataclass(frozen=True)
class Stratum:
    """The clusters of one stratum.

    Attributes:
      clusters: [C] numbers of the names; a cluster has the same number in all strata.
      errors: √d·e, an array [S, C] for each arm.
      ratios: the metric of the stratum, an array [S] for each arm.
      freedom: degrees of freedom of a variance over these clusters.
      share: of the weights, the mean over all replicates of all arms.
      items: None where scores have no bounds.
    """

    clusters: np.ndarray
    errors: tuple[np.ndarray, ...]
    ratios: tuple[np.ndarray, ...]
    freedom: float
    share: float
    items: BoundedItems | None = None

    def spread(self, error: float) -> np.ndarray:
        """Returns an error of the stratum as equal errors of its clusters, whose squares add up."""
        return np.full(len(self.clusters), error / len(self.clusters) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Linearized:
    """The metrics of arms and their errors over clusters.

    Attributes:
      values: the metric of each replicate, an array [S] for each arm.
      strata: of all arms.
    """

    values: tuple[np.ndarray, ...]
    strata: tuple[Stratum, ...]
    num_items: int

    @property
    def num_replicates(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.values)

    @property
    def num_clusters(self) -> int:
        return len({number for stratum in self.strata for number in stratum.clusters.tolist()})


def linearize(arms: Sequence[ArmScores]) -> Linearized:
    """Returns the metrics and errors of aligned arms (`scores.aligned`).

    Items that are empty (value and weight 0) in every arm are left out.
    """
    columns = [(arm.values, arm.filled_weights) for arm in arms]
    is_filled = np.any([y.any(axis=0) | x.any(axis=0) for y, x in columns], axis=0)
    # Numbered once: every contrast joins the clusters of strata, and names take long to sort.
    _, numbers = np.unique(np.asarray(arms[0].clusters, object), return_inverse=True)
    kind = arms[0].filled_strata
    ranges = _ranges(arms)
    strata = []
    with np.errstate(invalid="ignore", divide="ignore"):
        values = tuple(y.sum(axis=1) / x.sum(axis=1) for y, x in columns)
        totals = [x.sum(axis=1, keepdims=True) for _, x in columns]
        for one in np.unique(kind[is_filled]):
            is_in = is_filled & (kind == one)
            clusters, cluster_of = np.unique(numbers[is_in], return_inverse=True)
            of_items = [(y[:, is_in], x[:, is_in]) for y, x in columns]
            of_clusters = [
                (_cluster_sums(y, cluster_of), _cluster_sums(x, cluster_of)) for y, x in of_items
            ]
            stratum, shares = _stratum(clusters, of_clusters, totals)
            if ranges is not None:
                bound = float(ranges[is_in].max())
                items = _bounded_items(bound, cluster_of, of_items, totals, shares)
                stratum = replace(stratum, items=items)
            strata.append(stratum)
    return Linearized(values=values, strata=tuple(strata), num_items=int(is_filled.sum()))


def item_variance(
    strata: Sequence[Stratum], errors: Sequence[np.ndarray], added: Sequence[float] = ()
) -> tuple[float, float]:
    """Returns the variance over clusters of an error that adds over them, and its freedom.

    √d·e of a cluster that is in several strata are added first. The degrees of freedom are
    Satterthwaite's, at most those of the stratum with most where strata share clusters.

    Args:
      errors: [C] for each stratum.
      added: to the variance of each stratum; empty for nothing.
    """
    if not strata:
        return np.nan, 0.0
    freedoms = [stratum.freedom for stratum in strata]
    added = list(added) or [0.0] * len(strata)
    of_clusters = over_clusters(strata, [e[np.newaxis] for e in errors])
    are_shared = of_clusters.shape[1] < sum(map(len, errors))
    total = sum(added)
    if are_shared:
        # What cancels between strata leaves nothing to take off, and what is added to strata with
        # the same clusters is no more independent than these are.
        added = [max(one, 0.0) for one in added]
        roots = [of.spread(one**0.5)[np.newaxis] for of, one in zip(strata, added, strict=True)]
        total = float(np.sum(over_clusters(strata, roots) ** 2))
    variances = [float(np.sum(e**2)) + one for e, one in zip(errors, added, strict=True)]
    freedom = satterthwaite(variances, freedoms)
    if are_shared:
        freedom = min(freedom, max(freedoms))
    return float(np.sum(of_clusters**2)) + total, freedom


def over_clusters(strata: Sequence[Stratum], errors: Sequence[np.ndarray]) -> np.ndarray:
    """Returns errors [S, C] with those of a cluster in several strata added.

    Args:
      errors: [S, C] for each stratum.
    """
    if len(strata) == 1:
        return errors[0]
    of_strata = np.concatenate([stratum.clusters for stratum in strata])
    clusters, places = np.unique(of_strata, return_inverse=True)
    joined = np.concatenate(errors, axis=1)
    if len(clusters) == len(places):
        return joined
    return _cluster_sums(joined, places)


def weighted_mean(weights: np.ndarray, of_arms: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the sum of weights times means over replicates, of arms that have a weight.

    Args:
      of_arms: [S, ...] for each arm; the result is [...].
    """
    # Means of the weighted arms alone: `best.py` has a contrast for every pair of many.
    pairs = zip(weights, of_arms, strict=True)
    return np.asarray(sum(weight * of.mean(axis=0) for weight, of in pairs if weight))


def _cluster_sums(columns: np.ndarray, cluster_of: np.ndarray) -> np.ndarray:
    """Returns the sums over the items of each cluster: [S, I] → [S, C]."""
    num_clusters = int(cluster_of.max()) + 1
    return np.stack([np.bincount(cluster_of, row, num_clusters) for row in columns])


def _ranges(arms: Sequence[ArmScores]) -> np.ndarray | None:
    """Returns the range of each item, [I], None if the scores of an arm have no bounds."""
    ranges = [arm.item_range for arm in arms]
    known = [np.broadcast_to(one, len(arms[0].ids)) for one in ranges if one is not None]
    return np.max(known, axis=0) if len(known) == len(ranges) else None


def _stratum(
    clusters: np.ndarray,
    sums: Sequence[tuple[np.ndarray, np.ndarray]],
    totals: Sequence[np.ndarray],
) -> tuple[Stratum, np.ndarray]:
    """Returns one stratum, and the shares of its clusters, [C].

    Args:
      sums: the sums of values and of weights over the items of each cluster, [S, C], of each arm.
      totals: the sum of weights over all strata, [S, 1], of each arm.
    """
    errors, share, freedom = _errors(sums, totals)
    of_all = [
        (x.sum(axis=1, keepdims=True) / total).mean()
        for (_, x), total in zip(sums, totals, strict=True)
    ]
    ratios = tuple(y.sum(axis=1) / x.sum(axis=1) for y, x in sums)
    return Stratum(clusters, errors, ratios, freedom, float(np.mean(of_all))), share


def _bounded_items(
    item_range: float,
    cluster_of: np.ndarray,
    columns: Sequence[tuple[np.ndarray, np.ndarray]],
    totals: Sequence[np.ndarray],
    cluster_shares: np.ndarray,
) -> BoundedItems:
    """Returns the items of one stratum; see `_stratum` for the columns, here [S, I]."""
    errors, shares, _ = _errors(columns, totals)
    return BoundedItems(
        item_range,
        cluster_of,
        tuple(of.mean(axis=0) for of in errors),
        1 / float(np.sum(shares**2)),
        1 / float(np.sum(cluster_shares**2)),
    )


def _errors(
    sums: Sequence[tuple[np.ndarray, np.ndarray]], totals: Sequence[np.ndarray]
) -> tuple[tuple[np.ndarray, ...], np.ndarray, float]:
    """Returns √d·e of each arm, the shares of the weights, and the degrees of freedom."""
    shares = [x / x.sum(axis=1, keepdims=True) for _, x in sums]
    # All models have the same weights in most metrics.
    share = np.mean([of.mean(axis=0) for of in shares], axis=0)
    factors, freedom = corrections(share)
    errors = [
        np.sqrt(factors) * (y - y.sum(axis=1, keepdims=True) * of) / total
        for (y, _), of, total in zip(sums, shares, totals, strict=True)
    ]
    return tuple(errors), share, freedom
