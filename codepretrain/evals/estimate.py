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
    """

    value: float
    standard_error: float
    count: int
    num_items: int | None = None


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
    residuals e = y - R·x (they sum to zero), the standard error is by linearization

        SE = sqrt( n/(n-1) · Σe² ) / Σx

    For x = 1 everywhere it equals that of the mean. Clusters with x = y = 0 are empty and left out.

    Source: Cochran, Sampling Techniques (3rd ed.), ch. 6, without the finite-population correction.

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
    spread = float(np.sum(np.square(y - ratio * x)))
    correction = num_clusters / (num_clusters - 1) if num_clusters > 1 else math.nan
    return Estimate(ratio, math.sqrt(correction * spread) / total, num_clusters)


def weighted_average(
    estimates: Sequence[Estimate], weights: Sequence[float] | np.ndarray
) -> Estimate:
    """Returns Σ w·value with the weights scaled to sum to one.

    The estimates are independent and the weights known, so SE = sqrt(Σ w²·SE²). Averages nest:
    sources may be averaged into kinds and kinds into one number. With the weight of a kind the sum
    of its sources' weights, the result is the average over the sources.
    """
    weights = _column(weights)
    assert len(estimates) == len(weights), (estimates, weights)
    assert (weights > 0).all(), weights
    shares = weights / weights.sum()
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.standard_error for estimate in estimates])
    are_items = all(estimate.num_items is None for estimate in estimates)
    num_items = None if are_items else sum(e.num_items or e.count for e in estimates)
    return Estimate(
        float(shares @ values),
        float(np.sqrt(np.sum(np.square(shares * errors)))),
        sum(estimate.count for estimate in estimates),
        num_items,
    )


def _column(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    column = np.asarray(values, np.float64)
    assert column.ndim == 1, column.shape
    if not len(column):
        raise UserError("an estimate needs at least one item, got none")
    return column
