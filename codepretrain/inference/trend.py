"""Weights of contrasts over several arms: the slope of a dose, effects of a factorial."""

import math
from collections.abc import Mapping, Sequence

import numpy as np


def dose_weights(doses: Sequence[float]) -> np.ndarray:
    """Returns the weights of the least-squares slope over arms: the change per unit of dose.

    With w = (x - x̄) / Σ(x - x̄)², Σ w·y is the slope of y over x. It finds a monotone effect with
    more power than the comparisons of single arms, and says nothing of its shape.

    >>> dose_weights([0, 25, 50]).tolist()
    [-0.02, 0.0, 0.02]
    """
    x = np.asarray(doses, np.float64)
    centered = x - x.mean()
    total = float(centered @ centered)
    if not total > 0:
        raise ValueError(f"doses: expected at least two different ones, found {list(doses)}")
    return np.asarray(centered / total)


def factorial_weights(levels: Sequence[Mapping[str, bool]], effect: Sequence[str]) -> np.ndarray:
    """Returns the weights of a main effect or an interaction in a full factorial.

    One factor: the mean of the arms that have it minus that of those that do not. Two: the effect
    of one where the other is present minus where it is absent; and so on. Other factors are
    averaged over.

    >>> arms = [{"a": False, "b": False}, {"a": True, "b": False},
    ...         {"a": False, "b": True}, {"a": True, "b": True}]
    >>> factorial_weights(arms, ["a"]).tolist()
    [-0.5, 0.5, -0.5, 0.5]
    >>> factorial_weights(arms, ["a", "b"]).tolist()
    [1.0, -1.0, -1.0, 1.0]

    Args:
      levels: for each arm, factor → whether it is present.
      effect: the names of the factors.

    Raises:
      ValueError: the arms are no full factorial, or a factor is unknown.
    """
    factors = sorted(levels[0])
    unknown = [name for name in effect if name not in factors]
    if unknown or not effect:
        raise ValueError(f"effect: expected some of {factors}, found {list(effect)}")
    cells = [tuple(arm.get(name) for name in factors) for arm in levels]
    is_full = len(set(cells)) == len(cells) == 2 ** len(factors)
    if not is_full or any(sorted(arm) != factors for arm in levels):
        raise ValueError(
            f"levels: expected each of the {2 ** len(factors)} combinations of {factors} once, "
            f"found {len(set(cells))} in {len(cells)} arms"
        )
    signs = [math.prod(1.0 if arm[name] else -1.0 for name in effect) for arm in levels]
    return np.array(signs) / 2 ** (len(factors) - len(set(effect)))
