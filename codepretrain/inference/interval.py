"""Student's intervals and p-values of estimates that have a standard error."""

import math
from dataclasses import dataclass

from scipy import special

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


UNBOUNDED = Interval(-math.inf, math.inf)


def student_interval(
    value: float, standard_error: float, freedom: float, *, confidence: float = CONFIDENCE
) -> tuple[Interval, float]:
    """Returns Student's interval and the two-sided p-value of an estimate.

    The interval is unbounded and p is 1 if the value or its standard error is unknown.

    Args:
      freedom: degrees of freedom of the standard error.
    """
    if not math.isfinite(value) or not math.isfinite(standard_error) or not freedom > 0:
        return Interval(-math.inf, math.inf), 1.0
    half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * standard_error
    interval = Interval(value - half, value + half)
    if value == 0 or not standard_error:
        return interval, (1.0 if value == 0 else 0.0)
    return interval, 2 * float(special.stdtr(freedom, -abs(value) / standard_error))
