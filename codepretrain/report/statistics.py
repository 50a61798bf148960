"""Intervals and differences for metrics over evaluation items; `paired.py` has paired differences.

These are 95% intervals over items: they show how much a value would vary if other items were drawn
from the same population. They do not include the variation between training runs with other seeds,
which `inference/crossed.py` has. "Not distinguishable" means that the interval of a difference
contains zero.

Standard errors of means and ratios are estimates from a few to a few hundred clusters of items, so
intervals use Student's t: with few clusters, the normal quantile would find differences between
equal models far more often than in 5% of comparisons.
"""

import math
from dataclasses import dataclass
from typing import Literal

from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import UNBOUNDED, Interval, student_interval
from codepretrain.report.between import TWO_CHECKPOINTS, Between

Z = 1.959963984540054  # standard normal quantile at 0.975, for 95% intervals

Verdict = Literal["higher", "lower", "not distinguishable"]


@dataclass(frozen=True)
class Difference:
    """A metric of a variant minus the same metric of the baseline.

    p_value: two-sided, for the hypothesis of no difference, by the method of the interval.
    method: its name, for the reader of the report.
    between: two checkpoints, or recipes with replicates.
    """

    value: float
    interval: Interval
    p_value: float
    num_items: int
    is_paired: bool
    method: str
    between: Between = TWO_CHECKPOINTS

    @classmethod
    def of(cls, estimate: Estimate, between: Between = TWO_CHECKPOINTS) -> "Difference":
        """Returns the difference of arms that are paired by item."""
        return cls(
            estimate.value,
            estimate.interval,
            estimate.p_value,
            estimate.num_items,
            True,
            estimate.method,
            between,
        )

    @property
    def verdict(self) -> Verdict:
        if self.interval.low > 0:
            return "higher"
        return "lower" if self.interval.high < 0 else "not distinguishable"


def normal_interval(value: float, standard_error: float) -> Interval:
    """Returns value ± 1.96 standard errors; unbounded if the standard error is unknown."""
    if not math.isfinite(standard_error):
        return UNBOUNDED
    return Interval(value - Z * standard_error, value + Z * standard_error)


def wilson_interval(proportion: float, count: float) -> Interval:
    """Returns the score interval of a proportion of `count` items; also valid near 0 and 1.

    Source: Wilson 1927, Journal of the American Statistical Association 22, 209–212.
    """
    if count == 0:
        return Interval(0.0, 1.0)
    z2 = Z * Z
    center = (proportion + z2 / (2 * count)) / (1 + z2 / count)
    variance = proportion * (1 - proportion) / count + z2 / (4 * count * count)
    half = Z / (1 + z2 / count) * math.sqrt(variance)
    # At 0 and 1 the bound is exact, and the sum above may differ by a rounding error.
    low = 0.0 if proportion == 0 else max(0.0, center - half)
    high = 1.0 if proportion == 1 else min(1.0, center + half)
    return Interval(low, high)


def adjusted_variance(proportion: float, count: int) -> float:
    """Returns the variance of a proportion after about two successes and two failures are added.

    For a proportion of 0 or 1, whose plain variance is 0.
    Source: Agresti & Coull 1998, The American Statistician 52, 119–126.
    """
    total = count + Z * Z
    share = (proportion * count + Z * Z / 2) / total
    return share * (1 - share) / total


def unpaired_difference(
    ours: tuple[float, float],
    baseline: tuple[float, float],
    *,
    freedom: float,
    num_items: int,
) -> Difference:
    """Returns the difference of two (value, standard error), assuming independence.

    For runs without item scores; its interval is wider than a paired one.

    Args:
      freedom: degrees of freedom of the run that has fewer: as if it had all of the variance.
    """
    value = ours[0] - baseline[0]
    error = math.hypot(ours[1], baseline[1])
    interval, p = student_interval(value, error, freedom)
    return Difference(value, interval, p, num_items, False, "unpaired, Student’s t")


def unpaired_proportions(ours: tuple[float, int], baseline: tuple[float, int]) -> Difference:
    """Returns the difference of two (proportion, number of items), assuming independence.

    For runs without item scores. One success and one failure are added to each before the normal
    interval: the plain one has no width where all or none succeeded.
    Source: Agresti & Caffo 2000, The American Statistician 54, 280–288.
    """
    shares = [(share * count + 1) / (count + 2) for share, count in (ours, baseline)]
    counts = [count + 2 for _, count in (ours, baseline)]
    center = shares[0] - shares[1]
    error = math.sqrt(sum(p * (1 - p) / n for p, n in zip(shares, counts, strict=True)))
    return Difference(
        ours[0] - baseline[0],
        normal_interval(center, error),
        p_value(center, error),
        min(ours[1], baseline[1]),
        False,
        "unpaired, Agresti–Caffo",
    )


def p_value(value: float, standard_error: float) -> float:
    """Returns the two-sided p-value of a normal estimate; 1 if it is 0 or its error is unknown."""
    if value == 0 or not math.isfinite(standard_error) or math.isnan(value):
        return 1.0
    return math.erfc(abs(value) / standard_error / math.sqrt(2)) if standard_error > 0 else 0.0
