"""Effects on scales other than points: relative, in run spreads, above chance, in tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from codepretrain.inference.crossed import Between, linear_contrast
from codepretrain.inference.interval import CONFIDENCE, Interval
from codepretrain.inference.linearized import linearize
from codepretrain.inference.scores import ArmScores, aligned


@dataclass(frozen=True)
class Effect:
    """An effect on another scale, with its 95% interval."""

    value: float
    interval: Interval


def relative_difference(
    ours: ArmScores,
    baseline: ArmScores,
    *,
    is_paired: bool = False,
    between: Between = "recipes",
) -> Effect:
    """Returns ours / baseline - 1 with the interval of the logarithm of the ratio.

    By the delta method: log a - log b has the variance of the contrast with weights 1/a and -1/b.

    Raises:
      ValueError: a mean is not positive, so that a ratio means nothing.
    """
    scores = linearize(aligned([ours, baseline]))
    means = [float(values.mean()) for values in scores.values]
    if not min(means) > 0:
        raise ValueError(f"a relative difference needs positive means, found {means}")
    weights = [1 / means[0], -1 / means[1]]
    estimate = linear_contrast(scores, weights, is_paired=is_paired, between=between)
    ratio = math.log(means[0] / means[1])
    half = (estimate.interval.high - estimate.interval.low) / 2
    if not math.isfinite(half):
        return Effect(math.expm1(ratio), Interval(-1.0, math.inf))
    return Effect(math.expm1(ratio), Interval(math.expm1(ratio - half), math.expm1(ratio + half)))


def run_spread(arms: Sequence[ArmScores]) -> Effect:
    """Returns σ_run: the standard deviation of the metric between replicates, pooled over arms.

    It includes run × item, as the scores of single runs do. The interval is that of a χ²
    distribution, for normal runs of equally spread arms.
    """
    values = [arm.metrics for arm in arms if arm.num_replicates > 1]
    if not values:
        raise ValueError("σ_run needs an arm with at least 2 replicates, found none")
    freedom = sum(len(of) - 1 for of in values)
    squares = sum(float(np.square(of - of.mean()).sum()) for of in values)
    low, high = special.chdtri(freedom, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Effect(
        math.sqrt(squares / freedom), Interval(math.sqrt(squares / low), math.sqrt(squares / high))
    )


def chance_centered(arm: ArmScores, chance: float) -> ArmScores:
    """Returns the scores (a - c) / (1 - c): 0 at chance, 1 where all answers are right.

    Args:
      chance: c, the expected score of a model that knows nothing, such as 0.25.
    """
    if not 0 <= chance < 1:
        raise ValueError(f"chance: expected a number from 0 to below 1, found {chance}")
    return replace(
        arm,
        values=(arm.values - chance * arm.filled_weights) / (1 - chance),
        item_range=None if arm.item_range is None else arm.item_range / (1 - chance),
    )


@dataclass(frozen=True)
class TokenEquivalent:
    """How many tokens of its own recipe the baseline needs for our score.

    Attributes:
      tokens: infinite where its curve does not reach the score.
      ratio: tokens over those of the baseline's last checkpoint.
      interval: of the ratio; 0 or infinity where a bound lies beyond the curve.
    """

    tokens: float
    ratio: float
    interval: Interval


def token_equivalent(
    tokens: Sequence[float] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    difference: float,
    interval: Interval,
    *,
    is_higher_better: bool = True,
) -> TokenEquivalent:
    """Returns our score's place on the baseline's own curve over tokens.

    The curve is made monotone by isotonic regression and is linear in log tokens between
    checkpoints. It is not extrapolated. The interval is that of the difference; the curve's own
    error is left out, except that the difference includes that of its last checkpoint.

    Args:
      tokens: [K], increasing, at the baseline's checkpoints.
      scores: [K], its scores there; at a constant rate, or each after a cooldown as ours.
      difference: our score minus the last of these, with its interval.
    """
    places = np.log(np.asarray(tokens, np.float64))
    if len(places) < 2 or len(places) != len(scores) or (np.diff(places) <= 0).any():
        raise ValueError("tokens: expected at least 2 increasing numbers, one for each score")
    sign = 1.0 if is_higher_better else -1.0
    fitted = optimize.isotonic_regression(sign * np.asarray(scores, np.float64)).x

    def ratio(of: float) -> float:
        return _inverse(places, fitted, float(fitted[-1]) + sign * of)

    ends = sorted((ratio(interval.low), ratio(interval.high)))
    found = ratio(difference)
    return TokenEquivalent(found * float(np.exp(places[-1])), found, Interval(*ends))


def _inverse(places: np.ndarray, curve: np.ndarray, score: float) -> float:
    """Returns where a rising curve reaches a score, in units of the last place.

    In a flat stretch the first place that reaches it; at the end of the curve, its last.
    """
    if score > curve[-1]:
        return math.inf
    if score == curve[-1]:
        return 1.0
    if score < curve[0]:
        return 0.0
    after = int(np.searchsorted(curve, score))
    if after == 0 or curve[after] == score:
        return math.exp(places[after] - places[-1])
    part = (score - curve[after - 1]) / (curve[after] - curve[after - 1])
    place = places[after - 1] + part * (places[after] - places[after - 1])
    return math.exp(place - places[-1])
