"""Estimates with their standard errors: proportions, means over clusters, ratios, averages.

A standard error is the sampling error: how much the value would vary if other items were drawn from
the same population. It does not include the variation between training runs with other seeds.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """A value over `count` independently sampled clusters.

    Attributes:
      standard_error: NaN if there is only one cluster.
      num_items: items in all clusters; None where every cluster is one item.
      freedom: degrees of freedom of the standard error; None for `count` - 1.
    """

    value: float
    standard_error: float
    count: int
    num_items: int | None = None
    freedom: float | None = None


def proportion(successes: Sequence[bool] | np.ndarray) -> Estimate:
    """Returns the share p of N trials that succeeded; its standard error is sqrt(p(1-p) / N).

    The standard error is 0 if all or none succeeded: compute an interval from the count instead.
    """
    successes = _column(successes)
    assert np.isin(successes, (0, 1)).all(), "a trial is 0 or 1"
    share, num_trials = float(successes.mean()), len(successes)
    return Estimate(share, math.sqrt(share * (1 - share) / num_trials), num_trials)


def clustered_mean(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[str],
    *,
    weights: Sequence[float] | np.ndarray | None = None,
) -> Estimate:
    """Returns the mean of N items, or Σ values / Σ weights, with its standard error over clusters.

    Items of one cluster, such as the questions about one passage, are correlated: the clusters are
    the sample. The estimate is the ratio of sums over clusters, so each item has the same weight
    however many its cluster has.

    Args:
      clusters: the cluster of each item.
    """
    values = _column(values)
    weights = np.ones_like(values) if weights is None else _column(weights)
    assert len(values) == len(clusters) == len(weights), (len(values), len(clusters))
    names, cluster_of = np.unique(np.asarray(clusters, object), return_inverse=True)
    sums, totals = (np.bincount(cluster_of, column, len(names)) for column in (values, weights))
    estimate = ratio_of_sums(sums, totals)
    return dataclasses.replace(estimate, num_items=len(values))


def ratio_of_sums(
    numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray
) -> Estimate:
    """Returns R = Σy / Σx over n clusters, such as Σ nats / Σ tokens over rows.

    Tokens of one cluster are correlated, so the clusters are the sample, not their tokens. With the
    residuals e = y - R·x (they sum to zero) and the shares h = x / Σx, the standard error is by
    linearization

        SE = sqrt( Σ e² / (1 - h) ) / Σx

    A large cluster pulls R towards itself, which makes its residual too small; 1 - h corrects for
    that. The degrees of freedom are those of as many equal clusters as would have the same Σh²:
    1 / Σh² - 1. For x = 1 everywhere both are those of the mean. Clusters with x = y = 0 are empty
    and left out.

    Sources: Cochran, Sampling Techniques (3rd ed.), ch. 6, without the finite-population
    correction; for 1 - h, Bell & McCaffrey 2002, Survey Methodology 28, 169–181 (CR2); for the
    number of equal clusters, Kish, Survey Sampling (1965).

    Raises:
      UserError: all clusters are empty.
    """
    y, x = _column(numerators), _column(denominators)
    assert y.shape == x.shape, (y.shape, x.shape)
    assert (x >= 0).all(), "a cluster has a negative denominator"
    is_filled = (x > 0) | (y != 0)
    y, x = y[is_filled], x[is_filled]
    num_clusters, total = len(x), float(x.sum())
    if not total:
        raise UserError("a ratio of sums needs a positive denominator: every item is empty")
    ratio = float(y.sum()) / total
    if num_clusters == 1:
        return Estimate(ratio, math.nan, 1, freedom=0.0)
    shares = x / total
    with np.errstate(divide="ignore", invalid="ignore"):  # one cluster may have all of x
        spread = float(np.sum(np.square(y - ratio * x) / (1 - shares)))
    freedom = 1 / float(np.sum(np.square(shares))) - 1
    return Estimate(ratio, math.sqrt(spread) / total, num_clusters, freedom=freedom)


def weighted_average(
    estimates: Sequence[Estimate], weights: Sequence[float] | np.ndarray
) -> Estimate:
    """Returns Σ w·value with the weights scaled to sum to one.

    The estimates are independent and the weights known, so SE = sqrt(Σ w²·SE²). Averages nest:
    sources may be averaged into kinds and kinds into one number. With the weight of a kind the sum
    of its sources' weights, the result is the average over the sources. The degrees of freedom are
    Satterthwaite's.
    """
    weights = _column(weights)
    assert len(estimates) == len(weights), (estimates, weights)
    assert (weights > 0).all(), weights
    shares = weights / weights.sum()
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.standard_error for estimate in estimates])
    are_items = all(estimate.num_items is None for estimate in estimates)
    num_items = None if are_items else sum(e.num_items or e.count for e in estimates)
    variances = np.square(shares * errors)
    freedoms = [e.count - 1 if e.freedom is None else e.freedom for e in estimates]
    return Estimate(
        float(shares @ values),
        math.sqrt(variances.sum()),
        sum(estimate.count for estimate in estimates),
        num_items,
        satterthwaite(variances, freedoms),
    )


def satterthwaite(variances: Sequence[float] | np.ndarray, freedoms: Sequence[float]) -> float:
    """Returns the degrees of freedom of a sum of independent estimates of variance.

    Source: Satterthwaite 1946, Biometrics Bulletin 2, 110–114.
    """
    pairs = [(v, f) for v, f in zip(variances, freedoms, strict=True) if v != 0]
    if not pairs:
        return float(sum(freedoms))
    if any(not f > 0 for _, f in pairs):
        return 0.0
    return float(sum(v for v, _ in pairs) ** 2 / sum(v * v / f for v, f in pairs))


def _column(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    column = np.asarray(values, np.float64)
    assert column.ndim == 1, column.shape
    if not len(column):
        raise UserError("an estimate needs at least one item, got none")
    return column
