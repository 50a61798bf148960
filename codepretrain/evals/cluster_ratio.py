"""Ratios of sums whose sample is of clusters, and averages of them over strata.

Held-out loss is Σ nats / Σ tokens over documents, and documents of one cluster (one repository, one
thread) are alike. With n clusters of sums y and x, R = Σy / Σx, shares w = x / Σx and residuals
e = y - R·x, the error of R is Σ e / Σx, and its variance is estimated by

    SE² = Σ d·e² / (Σx)²        d = 1 / (1 - 2w + Σw²)

The factor d makes SE² unbiased where the error of a cluster is in proportion to its size, as it is
if clusters differ and have many tokens: a cluster of share w pulls R towards itself, so that its
residual is too small. SE² is distributed about like χ² with

    ν = (tr B)² / tr B²         B_ij = √(d_i d_j) · (w_i² [i = j] - w_i w_j (w_i + w_j - Σw²))

degrees of freedom. With clusters of one size, d = n / (n - 1) and ν = n - 1, as for a mean; where
one cluster has most of the tokens, ν tends to 1, whatever n is.

Source: Bell & McCaffrey 2002, "Bias reduction in standard errors for linear regression with
multi-stage samples"; Imbens & Kolesár 2016, "Robust standard errors in small samples". Here for a
regression of y/x on a constant with weights x and the working covariance diag(1), one observation
a cluster.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from codepretrain.errors import UserError
from codepretrain.evals.estimate import Estimate


class ClusterErrors(NamedTuple):
    """A ratio, and the error that each of its n clusters contributes: √d · e / Σx, [n].

    clusters: their names, sorted. freedom: ν, 0 if there is one cluster. num_items: that are not
    empty.
    """

    ratio: float
    clusters: np.ndarray
    errors: np.ndarray
    freedom: float
    num_items: int


def ratio_over_clusters(y: np.ndarray, x: np.ndarray, clusters: np.ndarray) -> Estimate:
    """Returns Σy / Σx with its standard error and degrees of freedom, over the clusters.

    Args:
      y, x: of each item, [I] float64; x is not negative. Items with x = y = 0 are left out.
      clusters: the name of each item's cluster, [I].

    Raises:
      UserError: all items are empty.
    """
    found = cluster_errors(y, x, clusters)
    return Estimate(
        found.ratio,
        _root_of_squares(found.errors),
        count=len(found.errors),
        num_items=found.num_items,
        freedom=found.freedom,
    )


def average_over_strata(strata: Sequence[ClusterErrors], weights: Sequence[float]) -> Estimate:
    """Returns Σ w·R of the strata's ratios with the weights scaled to sum to one.

    Errors of a cluster that is in several strata, such as a file of which one source has the code
    and another one the prose, are added before they are squared. The degrees of freedom are
    Satterthwaite's. `count` counts every cluster once.
    """
    shares = np.asarray(weights, np.float64) / math.fsum(weights)
    value = math.fsum(share * found.ratio for share, found in zip(shares, strata, strict=True))
    scaled = [share * found.errors for share, found in zip(shares, strata, strict=True)]
    names, places = np.unique(
        np.concatenate([found.clusters for found in strata]), return_inverse=True
    )
    error = _root_of_squares(np.bincount(places, np.concatenate(scaled)))
    variances = [math.fsum(errors**2) for errors in scaled]
    freedoms = [found.freedom for found in strata]
    freedom = min(freedoms)
    if freedom and any(variances):
        squares = sum(v * v / f for v, f in zip(variances, freedoms, strict=True))
        freedom = sum(variances) ** 2 / squares
    return Estimate(
        value,
        error,
        count=len(names),
        num_items=sum(found.num_items for found in strata),
        freedom=freedom,
    )


def cluster_errors(y: np.ndarray, x: np.ndarray, clusters: np.ndarray) -> ClusterErrors:
    """Returns the ratio and its errors by cluster; see `ratio_over_clusters`."""
    assert y.shape == x.shape == clusters.shape, (y.shape, x.shape, clusters.shape)
    assert (x >= 0).all(), "a denominator is negative"
    is_filled = (x > 0) | (y != 0)
    num_items = int(is_filled.sum())
    names, places = np.unique(clusters[is_filled], return_inverse=True)
    x = np.bincount(places, x[is_filled], minlength=len(names))
    y = np.bincount(places, y[is_filled], minlength=len(names))
    total = math.fsum(x)
    if not total:
        raise UserError("a ratio of sums needs a positive denominator: every item is empty")
    ratio = math.fsum(y) / total
    if len(names) == 1:
        return ClusterErrors(ratio, names, np.full(1, math.nan), 0.0, num_items)
    shares = x / total
    sum_of_squares = math.fsum(shares**2)
    factors = 1 / (1 - 2 * shares + sum_of_squares)
    errors = np.sqrt(factors) * (y - ratio * x) / total
    freedom = _freedom(shares, factors, sum_of_squares)
    return ClusterErrors(ratio, names, errors, freedom, num_items)


def _freedom(shares: np.ndarray, factors: np.ndarray, sum_of_squares: float) -> float:
    """Returns (tr B)² / tr B², in time linear in the number of clusters."""
    w, g, s = shares, factors * shares**2, sum_of_squares
    moments = [math.fsum(g * w**k) for k in range(3)]
    # Σ_ij g_i g_j (s - w_i - w_j)², and on the diagonal (1 - 2w + s)² instead of (s - 2w)².
    everywhere = (s * moments[0]) ** 2 + 2 * moments[0] * moments[2] + 2 * moments[1] ** 2
    everywhere -= 4 * s * moments[0] * moments[1]
    diagonal = math.fsum(g**2 * ((1 - 2 * w + s) ** 2 - (s - 2 * w) ** 2))
    return s**2 / (everywhere + diagonal)


def _root_of_squares(errors: np.ndarray) -> float:
    return math.sqrt(math.fsum(errors**2))


def effective_number(sizes: np.ndarray) -> float:
    """Returns (Σx)² / Σx²: the number of clusters of one size with the same Σ of squared shares.

    Source: Kish 1965, Survey Sampling, section 11.7.
    """
    return float(sizes.sum() ** 2 / np.sum(np.square(sizes)))
