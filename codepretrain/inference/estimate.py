"""An estimate with its standard error, interval and p-value, and the parts of its variance."""

import math
from dataclasses import dataclass

from codepretrain.inference.interval import CONFIDENCE, UNBOUNDED, Interval
from codepretrain.inference.variance import Parts


@dataclass(frozen=True)
class Components:
    """The mean squares of a crossed design, each as its part of the variance of the estimate.

    Expected values, with σ² the variances of runs, of item × arm effects and of the rest, S
    replicates and n items: seed is σ_run²/S + σ_rest²/(S·n), item is σ_item²/n + σ_rest²/(S·n),
    residual is σ_rest²/(S·n), each summed over independent arms.
    """

    seed: float
    item: float
    residual: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A difference or another contrast of arms.

    Attributes:
      value: in the unit of the metric.
      freedom: Satterthwaite's degrees of freedom of the standard error. Intervals and p-values are
        by parts, as `variance.py` says.
      interval: 95%.
      p_value: two-sided, for a true value of 0, by the method of the interval.
      components: NaN where they are unknown.
      method: its name, for the reader of the report.
      num_replicates: of each arm, in their order.
      is_paired: whether replicate k of all arms is one pair, so that pairs are independent.
      variances: the parts of the variance with their degrees of freedom.
    """

    value: float
    standard_error: float
    freedom: float
    interval: Interval
    p_value: float
    components: Components
    method: str
    num_replicates: tuple[int, ...]
    num_items: int
    num_clusters: int
    is_paired: bool = False
    variances: Parts

    def interval_at(self, confidence: float) -> Interval:
        """Returns Student's interval with another confidence, such as 0.9."""
        return _interval(self.value, self.variances, confidence)

    def one_sided_p(self, direction: str, bound: float = 0.0) -> float:
        """Returns the p-value of the hypothesis that the true value is not beyond `bound`.

        Args:
          direction: "higher" tests for a true value above the bound, "lower" for one below it.
        """
        if direction not in ("higher", "lower"):
            raise ValueError(f"direction: expected 'higher' or 'lower', found {direction!r}")
        beyond = (1.0 if direction == "higher" else -1.0) * (self.value - bound)
        if not _is_known(self.value, self.variances):
            return 1.0
        tail = self.variances.tail(abs(beyond))
        return tail if beyond > 0 else 1 - tail


def student_estimate(
    value: float,
    variances: Parts,
    *,
    components: Components,
    method: str,
    num_replicates: tuple[int, ...],
    num_items: int,
    num_clusters: int,
    is_paired: bool = False,
) -> Estimate:
    """Returns the estimate with Student's interval; unbounded where the variance is 0 or unknown.

    A variance of 0 is not evidence of an exact value: no replicate and no item differed, so that
    the spread is unknown.
    """
    is_known = _is_known(value, variances)
    return Estimate(
        value=value,
        standard_error=math.sqrt(variances.variance) if variances.variance > 0 else math.nan,
        freedom=float(variances.freedom),
        interval=_interval(value, variances, CONFIDENCE),
        p_value=2 * variances.tail(abs(value)) if is_known else 1.0,
        components=components,
        method=method,
        num_replicates=num_replicates,
        num_items=num_items,
        num_clusters=num_clusters,
        is_paired=is_paired,
        variances=variances,
    )


def _interval(value: float, variances: Parts, confidence: float) -> Interval:
    if not _is_known(value, variances):
        return UNBOUNDED
    half = float(variances.margin((1 - confidence) / 2))
    return Interval(value - half, value + half)


def _is_known(value: float, variances: Parts) -> bool:
    is_spread = variances.variance > 0
    return math.isfinite(value) and is_spread and math.isfinite(variances.margin(0.25))
