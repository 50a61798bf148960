"""Noise of the last checkpoints of a run, and the signal-to-noise ratio of a task.

For choosing tasks and smoothing. It is not the error bar of a recipe: in the published reruns of an
OLMo-ladder recipe, the standard deviation between runs was 0.63 points, and 0.36 over the last 5
checkpoints. Source: allenai/signal-and-noise; that comparison is not part of this repository.
"""

from collections.abc import Sequence

import numpy as np


def checkpoint_noise(curves: Sequence[Sequence[float]] | np.ndarray, last: int) -> float:
    """Returns SD_k: the standard deviation of the last k scores of a run, pooled over runs.

    Args:
      curves: the scores of each run in the order of its checkpoints.
      last: k; 5 for small models, 30 for large ones.
    """
    if last < 2:
        raise ValueError(f"last: expected at least 2 checkpoints, found {last}")
    short = [len(curve) for curve in curves if len(curve) < last]
    if short or not len(curves):
        raise ValueError(f"curves: expected at least {last} scores of every run, found {short}")
    variances = [np.var(np.asarray(curve, np.float64)[-last:], ddof=1) for curve in curves]
    return float(np.sqrt(np.mean(variances)))


def signal_to_noise(curves: Sequence[Sequence[float]] | np.ndarray, last: int) -> float:
    """Returns the largest difference between runs' last scores over SD_k.

    Infinite without noise, 0 without differences. Source: allenai/signal-and-noise; each run's
    score is the mean of its last k, which they call smoothing.

    Args:
      curves: a run of each recipe.
    """
    noise = checkpoint_noise(curves, last)
    means = [float(np.mean(np.asarray(curve, np.float64)[-last:])) for curve in curves]
    signal = max(means) - min(means)
    if noise == 0:
        return float("inf") if signal else 0.0
    return signal / noise
