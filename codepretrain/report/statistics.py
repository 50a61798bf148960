"""Intervals and paired differences for metrics over evaluation items.

All intervals are 95% intervals over items: they show how much a value would vary if other items
were drawn from the same population. They do not include the variation between training runs with
other seeds.

Two models answer the same items, so their difference is taken item by item: the difficulty of an
item cancels. "Not distinguishable" means that the interval of the difference contains zero.

Standard errors of means and ratios are estimates from a few to a few hundred items, so intervals of
differences use Student's t: with few items, the normal quantile would find differences between
equal models far more often than in 5% of comparisons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

CONFIDENCE = 0.95
_Z = 1.959963984540054  # standard normal quantile at (1 + CONFIDENCE) / 2

Verdict = Literal["higher", "lower", "not distinguishable"]


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A metric of a variant minus the same metric of the baseline.

    p_value: two-sided, for the hypothesis of no difference, by the method of the interval.
    method: its name, for the reader of the report.
    """

    value: float
    interval: Interval
    p_value: float
    num_items: int
    is_paired: bool
    method: str

    @property
    def verdict(self) -> Verdict:
        if self.interval.low > 0:
            return "higher"
        return "lower" if self.interval.high < 0 else "not distinguishable"


@dataclass(frozen=True)
class PairedScores:
    """One value per evaluation item; the metric is Σ values / Σ weights.

    Attributes:
      values: [I] float64.
      weights: [I] float64, or None where every item has weight one.
      strata: [I], the group of each item, where the groups' shares of the whole are known and only
        the items within a group are a sample (an average over sources); None for one group.
    """

    values: np.ndarray
    weights: np.ndarray | None = None
    strata: np.ndarray | None = None


def normal_interval(value: float, standard_error: float) -> Interval:
    """Returns value ± 1.96 standard errors; unbounded if the standard error is unknown."""
    if not math.isfinite(standard_error):
        return Interval(-math.inf, math.inf)
    return Interval(value - _Z * standard_error, value + _Z * standard_error)


def student_interval(value: float, standard_error: float, freedom: float) -> Interval:
    """Returns Student's interval; unbounded if the standard error or the freedom is unknown."""
    return _student(value, standard_error, freedom)[0]


def wilson_interval(proportion: float, count: int) -> Interval:
    """Returns the score interval of a proportion of `count` items; also valid near 0 and 1.

    Source: Wilson 1927, Journal of the American Statistical Association 22, 209–212.
    """
    if count == 0:
        return Interval(0.0, 1.0)
    z2 = _Z * _Z
    center = (proportion + z2 / (2 * count)) / (1 + z2 / count)
    variance = proportion * (1 - proportion) / count + z2 / (4 * count * count)
    half = _Z / (1 + z2 / count) * math.sqrt(variance)
    # At 0 and 1 the bound is exact, and the sum above may differ by a rounding error.
    low = 0.0 if proportion == 0 else max(0.0, center - half)
    high = 1.0 if proportion == 1 else min(1.0, center + half)
    return Interval(low, high)


def paired_difference(ours: PairedScores, baseline: PairedScores) -> Difference:
    """Returns our metric minus the baseline's over the same items, in the same order.

    Proportions (every value 0 or 1) use the adjusted interval for matched pairs, means and ratios
    Student's interval of the item-wise differences.

    Raises:
      ValueError: the two have different numbers of items.
    """
    if len(ours.values) != len(baseline.values):
        raise ValueError(
            f"cannot pair {len(ours.values)} items with the baseline's {len(baseline.values)}"
        )
    if ours.weights is not None or baseline.weights is not None:
        return _paired_ratio(ours, baseline)
    if _is_binary(ours.values) and _is_binary(baseline.values):
        return _paired_proportion(ours.values, baseline.values)
    return _paired_mean(ours.values, baseline.values)


def unpaired_difference(
    ours: tuple[float, float], baseline: tuple[float, float], *, num_items: int
) -> Difference:
    """Returns the difference of two (value, standard error), assuming independence.

    For runs without item scores; its interval is wider than a paired one. The degrees of freedom
    are the fewest possible: as if the run with fewer items had all of the variance.
    """
    value = ours[0] - baseline[0]
    error = math.hypot(ours[1], baseline[1])
    interval, p_value = _student(value, error, num_items - 1)
    return Difference(value, interval, p_value, num_items, False, "unpaired, Student’s t")


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
        _p(center, error),
        min(ours[1], baseline[1]),
        False,
        "unpaired, Agresti–Caffo",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted to control the family-wise error rate.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65–70.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _paired_mean(ours: np.ndarray, baseline: np.ndarray) -> Difference:
    differences = ours - baseline
    count = len(differences)
    value = float(differences.mean()) if count else math.nan
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    interval, p_value = _student(value, error, count - 1)
    return Difference(value, interval, p_value, count, True, "paired, Student’s t")


def _paired_proportion(ours: np.ndarray, baseline: np.ndarray) -> Difference:
    """Half an item is added to each cell of won/lost/both/neither before the normal interval.

    The plain interval has no width when no items differ.
    Source: Agresti & Min 2005, Statistics in Medicine 24, 729–740, "Wald+2".
    """
    count = len(ours)
    won = float(((ours == 1) & (baseline == 0)).sum())
    lost = float(((ours == 0) & (baseline == 1)).sum())
    total = count + 2
    center = (won - lost) / total
    error = math.sqrt((won + lost + 1) - (won - lost) ** 2 / total) / total
    return Difference(
        (won - lost) / count if count else math.nan,
        normal_interval(center, error),
        _p(center, error),
        count,
        True,
        "matched pairs, Agresti–Min",
    )


def _paired_ratio(ours: PairedScores, baseline: PairedScores) -> Difference:
    """Student's interval by linearization, as the standard error of each ratio (`evals/estimate`).

    An item adds (y - r·x) / Σx to the error of our ratio Σy / Σx, where r is the ratio of its
    stratum, since the shares of the strata are known; likewise to the baseline's. The degrees of
    freedom are Satterthwaite's. The interval is unbounded if a stratum has a single item, or a
    value is not finite.
    Source: Cochran, Sampling Techniques (3rd ed.), sections 5.4 and 6.10.
    """
    sums = np.stack([ours.values, _weights(ours), baseline.values, _weights(baseline)], axis=1)
    strata = np.zeros(len(sums)) if ours.strata is None else ours.strata
    is_filled = (sums != 0).any(axis=1)  # empty items are no sample
    sums, strata = sums[is_filled], strata[is_filled]
    total = sums.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = total[[0, 2]] / total[[1, 3]]
        groups = [
            _residuals(sums[strata == stratum]) / total[[1, 3]] for stratum in np.unique(strata)
        ]
        variance, freedom = _sum_variance([group[:, 0] - group[:, 1] for group in groups])
    value = float(ratios[0] - ratios[1])
    interval, p_value = _student(value, math.sqrt(variance), freedom)
    return Difference(value, interval, p_value, len(sums), True, "paired, Student’s t")


def _residuals(sums: np.ndarray) -> np.ndarray:
    """Returns y - r·x of each item of a stratum, for both models: [I, 2]. They sum to zero."""
    values, weights = sums[:, [0, 2]], sums[:, [1, 3]]
    return values - values.sum(axis=0) / weights.sum(axis=0) * weights


def _sum_variance(groups: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the variance of the sum over strata of items, and its degrees of freedom.

    With s² of its n items, a stratum adds n·s² with n - 1 degrees of freedom. NaN if one has a
    single item.
    """
    if min(map(len, groups), default=0) < 2:
        return math.nan, math.nan
    variances = [len(group) * float(group.var(ddof=1)) for group in groups]
    squares = sum(v * v / (len(g) - 1) for v, g in zip(variances, groups, strict=True))
    total = sum(variances)
    return total, (total * total / squares if squares else math.inf)


def _weights(scores: PairedScores) -> np.ndarray:
    return np.ones_like(scores.values) if scores.weights is None else scores.weights


def _is_binary(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0, 1)).all())


def _student(value: float, standard_error: float, freedom: float) -> tuple[Interval, float]:
    """Returns the interval and the p-value of an estimate with `freedom` degrees of freedom.

    The interval is unbounded and p is 1 if the value or its standard error is unknown.
    """
    if not math.isfinite(value) or not math.isfinite(standard_error) or not freedom > 0:
        return Interval(-math.inf, math.inf), 1.0
    half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * standard_error
    interval = Interval(value - half, value + half)
    if value == 0 or not standard_error:
        return interval, (1.0 if value == 0 else 0.0)
    return interval, 2 * float(special.stdtr(freedom, -abs(value) / standard_error))


def _p(value: float, standard_error: float) -> float:
    """Returns the two-sided p-value of a normal estimate; 1 if it is 0 or its error is unknown."""
    if value == 0 or not math.isfinite(standard_error) or math.isnan(value):
        return 1.0
    return math.erfc(abs(value) / standard_error / math.sqrt(2)) if standard_error > 0 else 0.0
