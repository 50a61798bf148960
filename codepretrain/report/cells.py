"""The cells of a comparison: one metric of one variant, with its interval."""

import math
from dataclasses import dataclass
from typing import Literal

from codepretrain.evals.metric import Direction, Metric
from codepretrain.inference.interval import CONFIDENCE, Interval, student_interval
from codepretrain.report.statistics import Difference, Z, wilson_interval

_NO_SPREAD = 1e-12  # a standard error of a fraction that is 0 but for rounding

# Whether a difference is in the metric's direction; `Difference.between` tells of what.
Outcome = Literal["favorable", "unfavorable", "not distinguishable"]


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric of one evaluator, as recorded: a row of the table. Fields: see `MetricSpec`."""

    evaluator: str
    name: str
    unit: str
    direction: Direction | None
    is_primary: bool
    cluster: str

    @classmethod
    def of(cls, evaluator: str, name: str, metric: Metric) -> "MetricRow":
        return cls(
            evaluator=evaluator,
            name=name,
            unit=metric.unit,
            direction=metric.direction,
            is_primary=metric.is_primary,
            cluster=metric.cluster,
        )

    @property
    def is_percentage(self) -> bool:
        return self.unit == "fraction"

    @property
    def is_score(self) -> bool:
        """Whether higher or lower values are better; a share of answers only describes."""
        return self.direction is not None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One variant's value.

    Attributes:
      runs: of each replicate.
      digest: of the evaluation's identity, its items included.
      metric: as recorded; with several replicates, its value is their mean.
      values: of each replicate.
      difference: from the baseline; None for the baseline itself and where there is none.
      not_compared: why there is none, where the baseline was measured in another way.
      adjusted_p: the p-value of the difference after Holm over all differences of the table.
    """

    runs: tuple[str, ...]
    step: int
    digest: str
    metric: Metric
    values: tuple[float, ...]
    interval: Interval
    difference: Difference | None = None
    not_compared: str = ""
    adjusted_p: float | None = None
    outcome: Outcome | None = None

    @property
    def survives_holm(self) -> bool:
        return self.adjusted_p is not None and self.adjusted_p < 1 - CONFIDENCE


def metric_interval(row: MetricRow, metric: Metric) -> Interval:
    """Returns the metric's interval: Wilson's for a fraction, else Student's.

    A fraction over clusters counts as that of so many single items as would have its standard
    error, times (z/t)² for the degrees of freedom of that. Student's would be within 0 and 1 by
    being cut, and covers 5% right answers in only 90% of draws (LOG.md). Where all clusters have
    the same share, such as all items right, the standard error is 0, and there are as many items as
    clusters.

    Source: Korn & Graubard 1998, Survey Methodology 24, 193–201 (the effective number); Dean &
    Pagano 2015, Journal of Survey Statistics and Methodology 3, 484–503 (with Wilson's interval).
    """
    if is_share_of_items(row, metric) or is_unanimous(row, metric):
        return wilson_interval(metric.value, metric.count)
    interval, _ = student_interval(metric.value, metric.standard_error, metric.freedom)
    if not row.is_percentage or not 0 < metric.value < 1 or not math.isfinite(interval.high):
        return within_bounds(row, interval)
    half = interval.high - metric.value
    return wilson_interval(metric.value, metric.value * (1 - metric.value) * (Z / half) ** 2)


def within_bounds(row: MetricRow, interval: Interval) -> Interval:
    """Returns the interval of a value, cut at 0 and 1 for a fraction; an unknown one as it is."""
    if row.is_percentage and math.isfinite(interval.high):
        return Interval(max(interval.low, 0.0), min(interval.high, 1.0))
    return interval


def is_share_of_items(row: MetricRow, metric: Metric) -> bool:
    """Returns whether it is a share of items, each a cluster, so that its count gives its interval.

    A mean of other fractions, such as F1, has another standard error than that share: with a
    divisor n or n - 1 its square is p(1 - p) / n.
    """
    if not row.is_percentage or metric.num_items != metric.count:
        return False
    count, variance = metric.count, metric.value * (1 - metric.value)
    squares = (variance / n for n in (count, max(1, count - 1)))
    return count == 1 or any(
        math.isclose(metric.standard_error**2, square, rel_tol=1e-6, abs_tol=1e-15)
        for square in squares
    )


def is_unanimous(row: MetricRow, metric: Metric) -> bool:
    """Returns whether it is a fraction that is the same in all clusters."""
    return row.is_percentage and metric.standard_error < _NO_SPREAD
