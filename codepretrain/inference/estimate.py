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
      center: of intervals and tests; the value, or nearer to 0 for a difference of checkpoints in
        a bounded score (`matched_pairs.py`).
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
    center: float
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
        return _interval(self.center, self.variances, confidence)

    def one_sided_p(self, direction: str, bound: float = 0.0) -> float:
        """Returns the p-value of the hypothesis that the true value is not beyond `bound`.

        Args:
          direction: "higher" tests for a true value above the bound, "lower" for one below it.
        """
        if direction not in ("higher", "lower"):
            raise ValueError(f"direction: expected 'higher' or 'lower', found {direction!r}")
        beyond = (1.0 if direction == "higher" else -1.0) * (self.center - bound)
        if not _is_known(self.center, self.variances):
            return 1.0
        tail = self.variances.tail(abs(beyond))
        return tail if beyond > 0 else 1 - tail


def student_estimate(
    value: float,
    variances: Parts,
    *,
    center: float | None = None,
    is_exact: bool = False,
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

    Args:
      center: of the interval; the value by default.
      is_exact: whether the variance is known to be 0, as between checkpoints with the same scores.
    """
    center = value if center is None else center
    interval = _interval(center, variances, CONFIDENCE)
    if is_exact:
        interval = Interval(center, center)
    return Estimate(
        value=value,
        center=center,
        standard_error=math.sqrt(variances.variance) if variances.variance > 0 else math.nan,
        freedom=float(variances.freedom),
        interval=interval,
        p_value=2 * variances.tail(abs(center)) if _is_known(center, variances) else 1.0,
        components=components,
        method=method,
        num_replicates=num_replicates,
        num_items=num_items,
        num_clusters=num_clusters,
        is_paired=is_paired,
        variances=variances,
    )


def _interval(center: float, variances: Parts, confidence: float) -> Interval:
    if not _is_known(center, variances):
        return UNBOUNDED
    half = float(variances.margin((1 - confidence) / 2))
    return Interval(center - half, center + half)


def _is_known(center: float, variances: Parts) -> bool:
    return math.isfinite(center) and bool(variances.variance > 0) and variances.is_finite
