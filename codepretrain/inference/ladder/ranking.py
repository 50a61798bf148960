"""Decision accuracy: how often the better of two arms at a small size is the better at the target.

Source: Magnusson et al. 2504.11393 (DataDecide), who report the share without an interval.

Pairs share arms, so A(A − 1)/2 pairs are not as many observations. The share is a U-statistic of
order two over arms (Hoeffding 1948); its variance is the jackknife's over arms, and the interval is
Wilson's with the number of independent pairs that have this variance: at least ⌊A/2⌋, the number of
pairs that share no arm, and at most all pairs. It describes arms of the kind compared here; the
noise of replicates is within it as far as it disturbs the order of arms.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from codepretrain.inference.interval import CONFIDENCE, Interval

_LEAST_ARMS = 3


@dataclass(frozen=True)
class DecisionAccuracy:
    """The share of pairs of arms that the small size orders as the target does.

    Attributes:
      share: NaN without pairs.
      interval: 95%, over arms.
      num_pairs: pairs that count.
      effective_pairs: independent pairs with the variance of the share.
    """

    share: float
    interval: Interval
    num_pairs: int
    effective_pairs: float


def decision_accuracy(
    small: np.ndarray, target: np.ndarray, *, is_distinguishable: np.ndarray | None = None
) -> DecisionAccuracy:
    """Returns the share of pairs of arms with equal sign of their difference at both sizes.

    Pairs that are equal at the target have no right answer and do not count. Pairs that are equal
    only at the small size count one half: the choice would be a coin toss.

    Args:
      small: [A], a score of each arm at the small size (mean over replicates), or a prediction for
        the target made from small sizes.
      target: [A], the score at the target size; better is in the same direction.
      is_distinguishable: [A, A] bool, symmetric: the pairs whose difference at the target has an
        interval without 0; only they count. None for all pairs.

    Raises:
      ValueError: shapes differ, a score is not finite, or there are fewer than 3 arms.
    """
    small, target = np.asarray(small, float), np.asarray(target, float)
    _check(small, target, is_distinguishable)
    counts = np.sign(target[:, None] - target[None]) != 0
    if is_distinguishable is not None:
        counts &= is_distinguishable
    agreement = np.sign(small[:, None] - small[None]) * np.sign(target[:, None] - target[None])
    right = np.where(counts, (1 + agreement) / 2, 0.0)
    num_pairs = int(counts.sum()) // 2
    if not num_pairs:
        return DecisionAccuracy(math.nan, Interval(0.0, 1.0), 0, 0.0)
    share = right.sum() / counts.sum()
    effective = _effective_pairs(right, counts, share)
    return DecisionAccuracy(float(share), _wilson(share, effective), num_pairs, effective)


def _effective_pairs(right: np.ndarray, counts: np.ndarray, share: float) -> float:
    """Returns how many independent pairs have the jackknife variance of the share."""
    num_arms, num_pairs = len(counts), counts.sum() / 2
    fewest = min(num_pairs, max(1, int((counts.any(axis=1)).sum()) // 2))
    rest = counts.sum() - 2 * counts.sum(axis=1)  # ordered pairs without each arm
    if (rest == 0).any() or share in (0, 1):
        return float(fewest)
    without = (right.sum() - 2 * right.sum(axis=1)) / rest
    variance = (num_arms - 1) / num_arms * ((without - without.mean()) ** 2).sum()
    if not variance:
        return float(fewest)
    return float(np.clip(share * (1 - share) / variance, fewest, num_pairs))


def _wilson(share: float, count: float) -> Interval:
    """Returns the score interval of a share of `count` trials, a number that need not be whole."""
    z = float(special.ndtri((1 + CONFIDENCE) / 2))
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    low = 0.0 if share == 0 else max(0.0, float(center - half))
    high = 1.0 if share == 1 else min(1.0, float(center + half))
    return Interval(low, high)


def _check(small: np.ndarray, target: np.ndarray, is_distinguishable: np.ndarray | None) -> None:
    if small.ndim != 1 or small.shape != target.shape:
        raise ValueError(
            f"expected one score per arm at both sizes, found {small.shape} and {target.shape}"
        )
    if len(small) < _LEAST_ARMS:
        raise ValueError(f"decision accuracy needs {_LEAST_ARMS} arms, found {len(small)}")
    if not (np.isfinite(small).all() and np.isfinite(target).all()):
        raise ValueError("expected finite scores of all arms")
    if is_distinguishable is None:
        return
    if is_distinguishable.shape != (len(small), len(small)):
        raise ValueError(
            f"is_distinguishable: expected shape {(len(small), len(small))}, "
            f"found {is_distinguishable.shape}"
        )
    if not np.array_equal(is_distinguishable, is_distinguishable.T):
        raise ValueError("is_distinguishable: expected a symmetric matrix")
