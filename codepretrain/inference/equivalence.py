"""Equivalence by two one-sided tests, and guards (non-inferiority) by one."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import Interval

EquivalenceVerdict = Literal["equivalent", "inconclusive"]


@dataclass(frozen=True)
class Equivalence:
    """Whether an effect is within ±margin.

    Attributes:
      interval: of confidence 1 - 2·alpha, 90% by default.
      p_value: the larger of the two tests'.
      verdict: "inconclusive" where equivalence is not shown, whether or not the effect differs
        from 0.
    """

    margin: float
    interval: Interval
    p_value: float
    verdict: EquivalenceVerdict

    def with_p_value(self, p_value: float, *, alpha: float = 0.05) -> "Equivalence":
        """Returns it with the p-value after a correction for others, and the verdict by that."""
        return replace(self, p_value=p_value, verdict=_verdict(p_value, alpha))


def equivalence(estimate: Estimate, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Returns the two one-sided tests of |true value| ≥ margin.

    An interval of confidence 1 - 2·alpha within ±margin is the same as both tests at alpha.
    Source: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657–680.

    Args:
      margin: the smallest effect of interest, in the unit of the estimate, fixed beforehand.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin: expected a positive number, found {margin}")
    p = max(
        estimate.one_sided_p("higher", -margin),
        estimate.one_sided_p("lower", margin),
    )
    return Equivalence(margin, estimate.interval_at(1 - 2 * alpha), p, _verdict(p, alpha))


def guard_p_values(estimate: Estimate, margin: float, *, side: str) -> tuple[float, float]:
    """Returns the one-sided p-values that a margin is kept, and that it is exceeded.

    Args:
      margin: the largest tolerated effect, positive, in the unit of the estimate.
      side: "higher" if effects above the margin are to be excluded, "lower" if those below -margin.
    """
    bound, other = (margin, "lower") if side == "higher" else (-margin, "higher")
    return estimate.one_sided_p(other, bound), estimate.one_sided_p(side, bound)


def _verdict(p_value: float, alpha: float) -> EquivalenceVerdict:
    return "equivalent" if p_value < alpha else "inconclusive"
