"""A measured number and how sure it is: value, standard error, count, unit.

Standard errors are of sampling: how much the value would move had other items been drawn from where
these came from. They say nothing about training again with another seed.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.errors import UserError


@dataclass(frozen=True)
class Metric:
    """`count` items (clusters, for a ratio of sums) stand behind `value`.

    `standard_error` is NaN where one item alone leaves it unknown.
    """

    value: float
    standard_error: float
    count: int
    unit: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Metric":
        return cls(**value)


def mean(values: Sequence[float] | np.ndarray, unit: str) -> Metric:
    """The mean of N values; its standard error is sqrt(Σ(v - mean)² / (N-1) / N)."""
    values = _column(values)
    num_values = len(values)
    deviation = values.std(ddof=1) if num_values > 1 else math.nan
    return Metric(float(values.mean()), float(deviation / math.sqrt(num_values)), num_values, unit)


def proportion(successes: Sequence[bool] | np.ndarray, unit: str = "fraction") -> Metric:
    """The share p of N trials that succeeded; its standard error is sqrt(p(1-p) / N).

    That is 0 where all or none succeeded: read such a result by its count.
    """
    successes = _column(successes)
    assert np.isin(successes, (0, 1)).all(), "a trial succeeds or does not"
    share, num_trials = float(successes.mean()), len(successes)
    return Metric(share, math.sqrt(share * (1 - share) / num_trials), num_trials, unit)


def ratio_of_sums(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    unit: str,
) -> Metric:
    """R = Σy / Σx over n clusters, such as Σ nats / Σ tokens over rows.

    What one cluster holds is correlated, so the clusters are the sample, not their tokens. With the
    residuals e = y - R·x (they sum to zero), the standard error is by linearization

        SE = sqrt( n/(n-1) · Σe² ) / Σx

    For x = 1 everywhere it is that of the mean. Clusters with x = y = 0 hold nothing and are left
    out.

    Source: Cochran, Sampling Techniques (3rd ed.), ch. 6, without the finite-population correction.
    """
    y, x = _column(numerators), _column(denominators)
    assert y.shape == x.shape, (y.shape, x.shape)
    assert (x >= 0).all(), "a cluster holds a negative amount"
    is_filled = (x > 0) | (y != 0)
    y, x = y[is_filled], x[is_filled]
    num_clusters, total = len(x), float(x.sum())
    if not total:
        raise UserError(f"no {unit.rpartition('/')[2]} to take a ratio over: every item is empty")
    ratio = float(y.sum()) / total
    spread = float(np.sum(np.square(y - ratio * x)))
    correction = num_clusters / (num_clusters - 1) if num_clusters > 1 else math.nan
    return Metric(ratio, math.sqrt(correction * spread) / total, num_clusters, unit)


def weighted_average(metrics: Sequence[Metric], weights: Sequence[float] | np.ndarray) -> Metric:
    """Σ w·value with the weights scaled to sum to one.

    The metrics are independent and the weights known, so SE = sqrt(Σ w²·SE²). As averages of
    averages keep that form, sources may go into kinds and kinds into one number: with a kind's
    weight the sum of its sources', the result is the average over the sources.
    """
    weights = _column(weights)
    units = {metric.unit for metric in metrics}
    assert len(metrics) == len(weights), (metrics, weights)
    assert len(units) == 1, f"an average over different units: {units}"
    assert (weights > 0).all(), weights
    shares = weights / weights.sum()
    values = np.array([metric.value for metric in metrics])
    errors = np.array([metric.standard_error for metric in metrics])
    return Metric(
        float(shares @ values),
        float(np.sqrt(np.sum(np.square(shares * errors)))),
        sum(metric.count for metric in metrics),
        units.pop(),
    )


def _column(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    column = np.asarray(values, np.float64)
    assert column.ndim == 1, column.shape
    if not len(column):
        raise UserError("a metric needs at least one item, got none")
    return column
