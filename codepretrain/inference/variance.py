"""The variance of a contrast over runs and items that are crossed, and the margin of an interval.

Each independent set of S replicates is scored on the same n items (or clusters of them). With

    V_run = Σ_sets s²/S          s² the variance of the metric between the replicates of a set
    V_item                       the variance over clusters of the contrast of means
    V_rest = Σ_sets MS_rest/(S·n)

the sum V_run + V_item has the variance of seed × item twice, so that the estimate is

    V = max(V_run + max(V_item - V_rest, 0), V_item)

which is (MS_seed + MS_item - MS_residual)/(S·n), and not below the larger part. Runs are few and
items many, so each part has the quantile of its own degrees of freedom, and half of an interval
with a probability of α/2 on either side is

    margin² = max(t²_run·V_run + t²_item·max(V_item - V_rest, 0), t²_item·V_item)

One quantile for V, with Satterthwaite's degrees of freedom, rejects too often: where runs dominate
and their V_run came out small by chance, the items' part hides that, since the degrees of freedom
are then those of the items. Differences of equal recipes with 3 and 3 replicates had p < 0.05/9 up
to twice as often as that, and single sets of 2 and 3 (paired or averaged replicates) p < 0.05 in up
to 13% and 8% (LOG.md). A sum of squared margins is safe whatever the shares of the parts: given the
estimates of variance, the probability of being within the margin is concave in margin², so it is at
least the mean of what each part by itself would give, 1 - α, with the parts' shares as weights.

ν_run is Welch's, since arms differ in spread. With 2 replicates of one arm and many of the other
Welch's varies too much: 9 to 11% of equal recipes differ with 2 and 8. It is bounded by its
geometric mean with ν₀, that of runs of equally spread arms, 2(S - 1); for a difference of arms with
equally many replicates that changes nothing. Welch's test of two arms of few replicates whose
spreads differ 5 times or more is itself too lenient far out: docs/replicates.md has the rates.

Source: Banerjee 1960, Sankhyā 22, 357–358 (the sum of squared margins); Welch 1947, Biometrika 34,
28–35; Imbens & Kolesár 2016, Review of Economics and Statistics 98, 701–712 (degrees of freedom
under equal spreads). The bound of Welch's, and taking V_rest off the items, are ours, from
simulation (LOG.md; tests/campaigns/test_statistics.py).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

Draws = float | np.ndarray  # of one draw, or of many

_LEAST = -230.0  # logarithm; smaller p-values are 0


@dataclass(frozen=True)
class Parts:
    """The parts of V with their degrees of freedom, for one or many draws: floats or [...].

    Attributes:
      run: V_run.
      excess: V_item - V_rest, 0 where that is negative.
      item: V_item.
    """

    run: Draws
    excess: Draws
    item: Draws
    run_freedom: Draws
    item_freedom: float

    def as_floats(self) -> "Parts":
        """Returns the parts of one draw as floats."""
        values = self.run, self.excess, self.item, self.run_freedom, self.item_freedom
        return Parts(*map(float, values))

    @property
    def variance(self) -> Draws:
        """Returns V."""
        return np.maximum(self.run + self.excess, self.item)

    @property
    def freedom(self) -> Draws:
        """Returns Satterthwaite's degrees of freedom of V: a description, not used in tests."""
        total = np.float64(self.run + self.excess)
        with np.errstate(invalid="ignore", divide="ignore"):
            uncertain = _quotient(self.run, self.run_freedom)
            uncertain += _quotient(self.excess, self.item_freedom)
            found = np.where(self.item > total, self.item_freedom, total**2 / uncertain)
        return np.where(self.variance > 0, found, 0.0)

    def margin(self, tail: float) -> Draws:
        """Returns half of the interval that leaves out a probability of `tail` on either side.

        NaN where a part is unknown.
        """
        of_run = special.stdtrit(self.run_freedom, tail) ** 2
        of_item = special.stdtrit(self.item_freedom, tail) ** 2
        with np.errstate(invalid="ignore"):
            apart = _product(of_run, self.run) + _product(of_item, self.excess)
            return np.sqrt(np.maximum(apart, _product(of_item, self.item)))

    @cached_property
    def is_finite(self) -> bool:
        """Returns whether no part of one draw is unknown."""
        return math.isfinite(self.margin(0.25))

    def tail(self, distance: float) -> float:
        """Returns the probability on one side that has the distance, positive, as its margin.

        Of one draw. 1/2 for a distance of 0, and where a part is unknown.
        """
        if not distance > 0 or not self.is_finite:
            return 0.5
        run, excess, item = map(float, (self.run, self.excess, self.item))
        freedoms = float(self.run_freedom), float(self.item_freedom)

        # As `margin`, with plain floats: 0.2 ms for the bisection, a third of what arrays take.
        def is_within(logarithm: float) -> bool:
            of_run, of_item = (special.stdtrit(of, math.exp(logarithm)) ** 2 for of in freedoms)
            apart = (of_run * run if run else 0.0) + (of_item * excess if excess else 0.0)
            return distance < math.sqrt(max(apart, of_item * item if item else 0.0))

        if not is_within(_LEAST):
            return 0.0
        low, high = _LEAST, math.log(0.5)
        for _ in range(56):  # to 1e-14 of the logarithm
            middle = (low + high) / 2
            low, high = (middle, high) if is_within(middle) else (low, middle)
        return math.exp((low + high) / 2)


def combined(
    run: np.ndarray,
    item: np.ndarray,
    rest: np.ndarray,
    *,
    run_freedoms: np.ndarray,
    design: np.ndarray,
    item_freedom: float,
) -> Parts:
    """Returns the parts of V, for one or many draws of the mean squares: [...].

    K independent sets of replicates.

    Args:
      run: s²/S of each set, [K, ...].
      item: V_item, [...].
      rest: V_rest, [...].
      run_freedoms: S - 1 of each set, [K].
      design: in proportion to what s²/S of each set would be at equal spreads, w²/S, [K].
    """
    total = run.sum(axis=0)
    columns = run_freedoms.reshape(-1, *[1] * (run.ndim - 1))
    of_design = design.sum() ** 2 / np.sum(design**2 / run_freedoms)
    with np.errstate(invalid="ignore", divide="ignore"):
        welch = total**2 / np.sum(run**2 / columns, axis=0)
        welch = np.where(total > 0, welch, of_design)
        bounded = np.minimum(welch, np.sqrt(welch * of_design))
    return Parts(total, np.maximum(item - rest, 0.0), item, bounded, item_freedom)


def of_items(variance: float, freedom: float) -> Parts:
    """Returns the parts where runs have none."""
    return Parts(0.0, variance, variance, freedom, freedom)


def _product(square: Draws, part: Draws) -> Draws:
    """Returns the product, 0 for a part of 0 whose degrees of freedom are unknown."""
    return np.where(part == 0, 0.0, square * part)


def _quotient(part: Draws, freedom: Draws) -> Draws:
    """Returns part² / freedom, 0 for a part of 0."""
    return np.where(part == 0, 0.0, np.float64(part) ** 2 / freedom)
