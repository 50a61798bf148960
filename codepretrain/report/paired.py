"""Paired differences: the scores of two models on the same items.

The difference is taken item by item, so the difficulty of an item cancels. Items of one cluster,
such as the questions about one passage, are correlated, so its error is over clusters.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.estimate import satterthwaite
from codepretrain.inference.linearized import item_variance, linearize
from codepretrain.inference.pairing import check_groups, places_of
from codepretrain.inference.scores import ArmScores
from codepretrain.report.statistics import Difference, student_interval

_MATCHED_PAIRS = "matched pairs, Agresti–Min"
_EQUAL = 1e-12  # differences that differ by less, or by less of their value, are the same


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
    """

    ids: Sequence[str]
    clusters: Sequence[str]
    values: np.ndarray
    weights: np.ndarray | None = None
    strata: np.ndarray | None = None

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
        )


def paired_difference(
    ours: PairedScores, baseline: PairedScores, *, is_fraction: bool = False
) -> Difference:
    """Returns our metric minus the baseline's over the same items, in whatever order.

    Proportions (every value 0 or 1) over clusters of one item use the adjusted interval for matched
    pairs, everything else Student's interval of the differences over clusters. Where the mean
    difference of a fraction is the same in all clusters (of each stratum), so that this has no
    width, each cluster counts as one matched pair.

    Args:
      is_fraction: whether each value is a share of its weight. Values without weights that are all
        within 0 and 1 are taken as fractions in any case.

    Raises:
      ValueError: the two have other items, or place an item in other clusters or strata.
    """
    baseline = aligned(ours, baseline)
    is_weighted = ours.weights is not None or baseline.weights is not None
    has_single_items = len(set(ours.clusters)) == len(ours.ids)
    both = np.concatenate([ours.values, baseline.values])
    if is_weighted or not ((both >= 0) & (both <= 1)).all():
        difference = _paired_ratio(ours, baseline)
        if is_fraction and _is_without_spread(ours, baseline):
            return _unanimous_strata(ours, baseline, difference)
        return difference
    if has_single_items and np.isin(both, (0, 1)).all():
        return _paired_proportion(ours.values, baseline.values)
    if np.ptp(_differences_of_clusters(ours, baseline)) < _EQUAL:
        return _unanimous(ours, baseline)
    return _paired_ratio(ours, baseline)


def aligned(ours: PairedScores, baseline: PairedScores) -> PairedScores:
    """Returns the baseline's items in our order.

    Raises:
      ValueError: the two have other items, or place an item in other clusters or strata.
    """
    found = baseline.take(places_of(ours.ids, baseline.ids))
    check_groups(ours.clusters, found.clusters, ours.filled_strata, found.filled_strata)
    return found


def _paired_proportion(ours: np.ndarray, baseline: np.ndarray) -> Difference:
    won = float(((ours == 1) & (baseline == 0)).sum())
    lost = float(((ours == 0) & (baseline == 1)).sum())
    return _matched_pairs(won, lost, len(ours))


def _matched_pairs(won: float, lost: float, count: int) -> Difference:
    """Half an item is added to each cell of won/lost/both/neither before Student's interval.

    The plain interval has no width when no items differ. With the normal quantile of the source,
    three equal answers of three would be enough for a difference.
    Source: Agresti & Min 2005, Statistics in Medicine 24, 729–740, "Wald+2", which is normal.
    """
    center, error = _adjusted_pairs(won, lost, count)
    interval, p = student_interval(center, error, count - 1)
    value = (won - lost) / count if count else math.nan
    return Difference(value, interval, p, count, True, _MATCHED_PAIRS)


def _adjusted_pairs(won: float, lost: float, count: int) -> tuple[float, float]:
    """Returns the center and the standard error of the adjusted difference."""
    total = count + 2
    return (won - lost) / total, math.sqrt(won + lost + 1 - (won - lost) ** 2 / total) / total


def _differences_of_clusters(ours: PairedScores, baseline: PairedScores) -> np.ndarray:
    """Returns the mean difference of the items of each cluster: [clusters]."""
    gaps = np.stack([ours.values - baseline.values, np.ones_like(ours.values)], axis=1)
    _, sums = _cluster_sums(gaps, np.asarray(ours.clusters, object))
    return sums[:, 0] / sums[:, 1]


def _unanimous(ours: PairedScores, baseline: PairedScores) -> Difference:
    """Returns the difference where all clusters have the same; each cluster is one pair.

    A fraction of a pair may be won. The variance is then that of whole pairs, which is larger.
    """
    num_clusters = len(set(ours.clusters))
    gap = float(_differences_of_clusters(ours, baseline)[0])
    won, lost = num_clusters * max(gap, 0.0), num_clusters * max(-gap, 0.0)
    difference = _matched_pairs(won, lost, num_clusters)
    method = f"{difference.method}, over clusters"
    return dataclasses.replace(difference, num_items=len(ours.ids), method=method)


def _is_without_spread(ours: PairedScores, baseline: PairedScores) -> bool:
    """Returns whether the mean difference is the same in all clusters of each stratum."""
    return all(np.ptp(gaps) < _EQUAL for _, gaps in _by_stratum(ours, baseline))


def _by_stratum(ours: PairedScores, baseline: PairedScores) -> Iterator[tuple[float, np.ndarray]]:
    """Yields each stratum's share of our weights, and the difference of each of its clusters."""
    strata, clusters = ours.filled_strata, np.asarray(ours.clusters, object)
    columns = (ours.values, ours.filled_weights, baseline.values, baseline.filled_weights)
    sums = np.stack(columns, axis=1)
    is_filled = _is_filled(ours, baseline)
    for stratum in np.unique(strata[is_filled]):
        is_in = is_filled & (strata == stratum)
        _, of_clusters = _cluster_sums(sums[is_in], clusters[is_in])
        share = float(sums[is_in, 1].sum() / sums[:, 1].sum())
        yield share, of_clusters[:, 0] / of_clusters[:, 1] - of_clusters[:, 2] / of_clusters[:, 3]


def _unanimous_strata(
    ours: PairedScores, baseline: PairedScores, difference: Difference
) -> Difference:
    """Returns the difference of an average whose strata each differ by the same in all clusters.

    Each cluster of a stratum is one pair, as in `_unanimous`, and the strata are independent.
    """
    center, variances, freedoms = 0.0, [], []
    for share, gaps in _by_stratum(ours, baseline):
        gap = float(gaps.mean())
        of_stratum, error = _adjusted_pairs(
            len(gaps) * max(gap, 0.0), len(gaps) * max(-gap, 0.0), len(gaps)
        )
        center += share * of_stratum
        variances.append((share * error) ** 2)
        freedoms.append(len(gaps) - 1)
    error = math.sqrt(sum(variances))
    interval, p = student_interval(center, error, satterthwaite(variances, freedoms))
    method = f"{_MATCHED_PAIRS}, over clusters"
    return dataclasses.replace(difference, interval=interval, p_value=p, method=method)


def _paired_ratio(ours: PairedScores, baseline: PairedScores) -> Difference:
    """Returns Student's interval by linearization; see `_linearized`.

    The interval is unbounded if the clusters of every stratum differ by the same, but not by 0:
    their spread is unknown then.
    """
    value, error, freedom = _linearized(ours, baseline)
    is_filled = _is_filled(ours, baseline)
    num_clusters = len(set(np.asarray(ours.clusters, object)[is_filled]))
    if abs(value) > 0 and error <= _EQUAL * abs(value):
        error = math.nan
    interval, p = student_interval(value, error, freedom)
    method = "paired, Student’s t"
    if num_clusters < is_filled.sum():
        method = "paired, Student’s t over clusters"
    return Difference(value, interval, p, int(is_filled.sum()), True, method)


def ratio_error(scores: PairedScores) -> tuple[float, float]:
    """Returns the standard error of Σ values / Σ weights, and its degrees of freedom."""
    nothing = dataclasses.replace(scores, values=np.zeros_like(scores.values))
    _, error, freedom = _linearized(scores, nothing)
    return error, freedom


def _linearized(ours: PairedScores, baseline: PairedScores) -> tuple[float, float, float]:
    """Returns the difference of the ratios, its standard error and its degrees of freedom.

    By linearization (`inference/linearized.py`). The error is NaN if a stratum has a single
    cluster, or a value is not finite.
    """
    scores = linearize([_one_replicate(ours), _one_replicate(baseline)])
    errors = [of.errors[0][0] - of.errors[1][0] for of in scores.strata]
    variance, freedom = item_variance(scores.strata, errors)
    return float(scores.values[0][0] - scores.values[1][0]), math.sqrt(variance), freedom


def _one_replicate(scores: PairedScores) -> ArmScores:
    return ArmScores(
        ids=scores.ids,
        clusters=scores.clusters,
        values=scores.values[np.newaxis],
        weights=None if scores.weights is None else scores.weights[np.newaxis],
        strata=scores.strata,
    )


def _is_filled(ours: PairedScores, baseline: PairedScores) -> np.ndarray:
    """Returns which items are not empty; empty ones are no sample."""
    columns = [ours.values, ours.filled_weights, baseline.values, baseline.filled_weights]
    return np.asarray(np.stack(columns).any(axis=0))


def _cluster_sums(sums: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the clusters, and the sums over the items of each: [clusters, columns]."""
    names, cluster_of = np.unique(clusters, return_inverse=True)
    columns = [np.bincount(cluster_of, column, len(names)) for column in sums.T]
    return names, np.stack(columns, axis=1)
