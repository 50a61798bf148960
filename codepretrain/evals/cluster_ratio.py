"""Ratios of sums whose sample is of clusters, and averages of them over strata.

Held-out loss is Σ nats / Σ tokens over documents, and documents of one cluster (one repository, one
thread) are alike. `unequal_clusters.py` has the equations of the standard error.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from codepretrain.errors import UserError
from codepretrain.evals.estimate import Estimate, satterthwaite
from codepretrain.evals.unequal_clusters import corrections


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
    Satterthwaite's, at most those of the stratum with most where strata share clusters. `count`
    counts every cluster once.
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
    freedom = satterthwaite(variances, freedoms)
    if len(names) < len(places):
        freedom = min(freedom, max(freedoms))
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
    shares = x / total
    factors, freedom = corrections(shares)
    errors = np.sqrt(factors) * (y - ratio * x) / total
    return ClusterErrors(ratio, names, errors, freedom, num_items)


def _root_of_squares(errors: np.ndarray) -> float:
    return math.sqrt(math.fsum(errors**2))


def effective_number(sizes: np.ndarray) -> float:
    """Returns (Σx)² / Σx²: the number of clusters of one size with the same Σ of squared shares.

    Source: Kish 1965, Survey Sampling, section 11.7.
    """
    return float(sizes.sum() ** 2 / np.sum(np.square(sizes)))
