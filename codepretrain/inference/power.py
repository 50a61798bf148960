"""What effect a comparison can find, before it is run.

The minimum detectable effect of a two-sided test at level α with power 1 - β is about

    MDE = √(t²_{1-α/2, ν}·2σ²(1 - ρ)/S + z²_{1-α/2}·Σ ω_t²/(n_t·T²)) + t_{1-β, ν} · error
    error = √(2σ²(1 - ρ)/S + Σ ω_t²/(n_t·T²))

for S replicates with a standard deviation σ between runs and a correlation ρ between paired ones,
and T tasks of n_t items whose differences have a standard deviation ω_t. No number of seeds gets
below the items' part. `minimum_detectable_effect` inverts the power of the test as it is made
(`variance.py`), whose variances and degrees of freedom are themselves estimated.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from codepretrain.inference.estimate import Estimate
from codepretrain.inference.variance import Parts, combined

_DRAWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Design:
    """A contrast of independent arms; all standard deviations are in the unit of the metric.

    Attributes:
      num_replicates: of each arm; a single entry for paired replicates.
      run_sd: of the true score between replicates of each arm. For paired replicates the standard
        deviation of their difference, σ·√(2(1 - ρ)).
      item_error: the standard error of the contrast that is left with infinitely many replicates.
      item_freedom: its degrees of freedom, about the number of clusters less one.
      rest_sd: of one run's score from run × item; 0 where the score has none.
      weights: of the arms in the contrast, 1 and -1 for a difference.
    """

    num_replicates: tuple[int, ...]
    run_sd: tuple[float, ...]
    item_error: float
    item_freedom: float
    rest_sd: float = 0.0
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.run_sd) != len(self.num_replicates):
            raise ValueError(
                f"run_sd: expected one for each of {len(self.num_replicates)} arms, "
                f"found {len(self.run_sd)}"
            )
        if min(self.num_replicates) < 2:
            raise ValueError(
                f"num_replicates: expected at least 2 in every arm, found {self.num_replicates}"
            )

    @property
    def squared_weights(self) -> np.ndarray:
        return np.square(self.weights) if self.weights else np.ones(len(self.run_sd))

    @property
    def variances(self) -> tuple[np.ndarray, float, float]:
        """Returns the expected V_run of each arm, V_item and V_rest of `variance.py`."""
        share = self.squared_weights / np.array(self.num_replicates)
        rest = share * self.rest_sd**2
        run = share * np.square(self.run_sd) + rest
        return run, self.item_error**2 + float(rest.sum()), float(rest.sum())

    @property
    def standard_error(self) -> float:
        """Returns the true standard error of the contrast."""
        run, item, rest = self.variances
        return math.sqrt(float(run.sum()) + item - rest)


def item_error(deviations: Sequence[float], counts: Sequence[int]) -> float:
    """Returns √(Σ ω_t²/(n_t·T²)): the items' part of the error of a mean over T tasks.

    Args:
      deviations: ω_t, the standard deviation over items (clusters) of the difference of the arms.
      counts: n_t, the number of items (clusters) of each task.
    """
    omega, n = np.asarray(deviations, np.float64), np.asarray(counts, np.float64)
    if omega.shape != n.shape or not len(n) or (n < 1).any():
        raise ValueError(f"counts: expected {len(omega)} positive numbers, found {list(counts)}")
    return float(np.sqrt(np.sum(omega**2 / n)) / len(n))


def design_of(estimate: Estimate, num_replicates: int) -> Design:
    """Returns the design of a difference with other replicates and the spreads of an estimate.

    Paired if the estimate is: n pairs have n - 1 degrees of freedom, two arms about 2(n - 1). The
    arms are taken to be equally spread. Parts of the variance that come out negative are 0.

    Args:
      estimate: of a difference of two arms.
      num_replicates: n, of each arm.

    Raises:
      ValueError: the spread of runs is unknown, as between checkpoints.
    """
    parts = estimate.components
    if not all(map(math.isfinite, (parts.seed, parts.item, parts.residual))):
        raise ValueError(
            "estimate: expected a difference of recipes with known spreads of runs and items, "
            f"found {parts}"
        )
    counts = estimate.num_replicates[:1] if estimate.is_paired else estimate.num_replicates
    share = sum(1 / count for count in counts)
    return Design(
        num_replicates=(num_replicates,) * len(counts),
        run_sd=(math.sqrt(max(parts.seed - parts.residual, 0.0) / share),) * len(counts),
        item_error=math.sqrt(max(parts.item - parts.residual, 0.0)),
        item_freedom=float(estimate.num_clusters - 1),
        rest_sd=math.sqrt(parts.residual / share),
    )


def power(design: Design, effect: float, *, alpha: float = 0.05) -> float:
    """Returns the probability that a two-sided test at level alpha finds a true effect."""
    return _beyond(_criticals(design, alpha), effect / design.standard_error)


def equivalence_power(
    design: Design, margin: float, *, effect: float = 0.0, alpha: float = 0.05
) -> float:
    """Returns the probability that two one-sided tests find |effect| < margin."""
    room = margin / design.standard_error - _criticals(design, 2 * alpha)
    shift = effect / design.standard_error
    inside = special.ndtr(room - shift) - special.ndtr(-room - shift)
    return float(np.where(room > 0, inside, 0.0).mean())


def guard_power(design: Design, margin: float, *, alpha: float = 0.05) -> float:
    """Returns the probability that a one-sided test finds a true effect of 0 below the margin."""
    room = margin / design.standard_error - _criticals(design, 2 * alpha)
    return float(special.ndtr(room).mean())


def minimum_detectable_effect(design: Design, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Returns the effect that the test finds with a given power."""
    critical, error = _criticals(design, alpha), design.standard_error

    low, high = 0.0, 4.0
    while _beyond(critical, high) < power and high < 1e6:
        high *= 2
    # Newton's method within a bracket; scipy.optimize takes half a second to import.
    size = high / 2
    while high - low > 1e-12 * high:
        excess = _beyond(critical, size) - power
        low, high = (low, size) if excess > 0 else (size, high)
        slope = _density(size - critical) - _density(size + critical)
        step = excess / slope if slope > 0 else math.inf
        size -= step
        if abs(step) <= 1e-13 * high:
            break
        if not low < size < high:
            size = (low + high) / 2
    return size * error


def floor(item_error: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Returns the effect that is detectable with infinitely many replicates: 2.8 item errors."""
    return float(special.ndtri(1 - alpha / 2) + special.ndtri(power)) * item_error


@functools.lru_cache(maxsize=256)
def _draws(design: Design) -> Parts:
    """Returns draws of the parts of the estimated variance."""
    run, item, rest = design.variances
    freedoms = np.array(design.num_replicates) - 1.0
    rng = np.random.default_rng(0)
    of_runs = rng.chisquare(freedoms[:, None], (len(run), _DRAWS)) / freedoms[:, None]
    of_items = rng.chisquare(design.item_freedom, _DRAWS) / design.item_freedom
    return combined(
        run[:, None] * of_runs,
        item * of_items,
        np.full(_DRAWS, rest),
        run_freedoms=freedoms,
        design=design.squared_weights / np.array(design.num_replicates),
        item_freedom=design.item_freedom,
    )


@functools.lru_cache(maxsize=256)  # 160 kB each; contrasts of a study have few designs
def _criticals(design: Design, alpha: float) -> np.ndarray:
    """Returns the critical value of the estimate in true standard errors, of each draw.

    Args:
      alpha: of a two-sided test; twice that of a one-sided one.
    """
    return np.asarray(_draws(design).margin(alpha / 2) / design.standard_error)


def _beyond(critical: np.ndarray, effect: float) -> float:
    """Returns the mean over draws of the normal probability beyond the critical value.

    Args:
      effect: in true standard errors. The estimate is independent of its estimated error.
    """
    return float(np.mean(special.ndtr(effect - critical) + special.ndtr(-effect - critical)))


def _density(places: np.ndarray) -> float:
    """Returns the mean of the normal density."""
    return float(np.exp(-0.5 * np.square(places)).mean()) / math.sqrt(2 * math.pi)
