"""Least squares for many resamples at once: Levenberg-Marquardt with bounds, in arrays.

A resample is a weight for each run: how often the bootstrap drew it, or 0 where it is left out. One
fit by SciPy takes milliseconds, most of them Python's; a hundred fits here take about as long as a
few of those.

Letters: N fits, P parameters, R runs.
Sources: Marquardt 1963; Kanzow et al. 2004 (steps projected onto bounds). Deviations: parameters
that a bound holds back are left out of a step; Huber's loss by weights of the residuals.
"""

from collections.abc import Callable, Sequence

import numpy as np

_MOST_STEPS = 300
_PATIENCE = 10  # steps without progress of any fit
_PROGRESS = 1e-9  # share of the cost
_DAMPING = (1e-10, 1e12)

Model = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def weights_of(resamples: Sequence[np.ndarray], num_runs: int) -> np.ndarray:
    """Returns how often each resample has each run, [N, R]."""
    return np.array([np.bincount(runs, minlength=num_runs) for runs in resamples], float)


def ends_of(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and the highest value [N] of each resample, of values [R] or [N, R]."""
    is_in = weights > 0
    return (
        np.where(is_in, values, np.inf).min(axis=1),
        np.where(is_in, values, -np.inf).max(axis=1),
    )


def fit_many(
    model: Model,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    weights: np.ndarray,
    *,
    huber_delta: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the parameters [N, P] and the costs [N] of the optima reached from `start` [N, P].

    Args:
      model: from parameters [N, P] to residuals [N, R] and their Jacobian [N, R, P].
      low, high: bounds, [N, P].
      weights: [N, R].
      huber_delta: the residual from which on the cost is linear.
    """

    def cost_of(residuals: np.ndarray) -> np.ndarray:
        size = np.abs(residuals)
        linear = huber_delta * (size - huber_delta / 2) if np.isfinite(huber_delta) else size
        return (weights * np.where(size <= huber_delta, size**2 / 2, linear)).sum(axis=1)

    found = np.clip(start, low, high)
    residuals, slopes = model(found)
    cost = cost_of(residuals)
    damping = np.full(len(found), 1e-3)
    waited = 0
    for _ in range(_MOST_STEPS):
        share = weights * np.minimum(1, huber_delta / np.maximum(np.abs(residuals), 1e-300))
        tried = np.clip(
            found + _step(found, low, high, residuals, slopes, share, damping), low, high
        )
        new_residuals, new_slopes = model(tried)
        new_cost = cost_of(new_residuals)
        is_better = new_cost < cost
        has_progress = bool((cost - new_cost > _PROGRESS * cost).any())
        waited = 0 if has_progress else waited + 1
        found = np.where(is_better[:, None], tried, found)
        residuals = np.where(is_better[:, None], new_residuals, residuals)
        slopes = np.where(is_better[:, None, None], new_slopes, slopes)
        cost = np.where(is_better, new_cost, cost)
        damping = np.clip(np.where(is_better, damping / 4, damping * 3), *_DAMPING)
        if waited == _PATIENCE:
            break
    return found, cost


def best_of_starts(found: np.ndarray, cost: np.ndarray, num_starts: int) -> np.ndarray:
    """Returns the best parameters [N, P] of fits [starts · N, P] that are ordered by start."""
    of_start = cost.reshape(num_starts, -1).argmin(axis=0)
    fits = found.reshape(num_starts, -1, found.shape[1])
    return fits[of_start, np.arange(fits.shape[1])]


def _step(
    found: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    residuals: np.ndarray,
    slopes: np.ndarray,
    weights: np.ndarray,
    damping: np.ndarray,
) -> np.ndarray:
    """Returns the step of every fit, [N, P]."""
    weighted = slopes * weights[:, :, None]
    gradient = (weighted * residuals[:, :, None]).sum(axis=1)
    hessian = weighted.transpose(0, 2, 1) @ slopes
    is_held = ((found <= low) & (gradient > 0)) | ((found >= high) & (gradient < 0))
    is_free = ~is_held
    gradient = gradient * is_free
    hessian = hessian * is_free[:, :, None] * is_free[:, None, :]
    places = np.arange(found.shape[1])
    diagonal = hessian[:, places, places]
    least = 1e-12 * np.maximum(diagonal.max(axis=1, keepdims=True), 1e-300)
    hessian[:, places, places] += damping[:, None] * np.maximum(diagonal, least) + least + is_held
    step: np.ndarray = -np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    return step
