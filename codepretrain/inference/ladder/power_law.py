"""The loss as a sum of power laws, L(N, D) = e^a/N^α + e^b/D^β + E.

N counts parameters without embeddings: with 256k ids the embeddings outweigh the rest of a small
model and bend the law. The same code fits a law of one input, L(C) = e^a/C^α + E.

Sources: Hoffmann et al. 2203.15556, appendix D.2 ("approach 3"); Bhagia et al. 2412.04403
(OLMo-ladder), which fits the loss of a task in the same way. Deviations: the scales are solved for
at every start (non-negative least squares), so that starts need only span the exponents; the Huber
threshold is lowered in stages. The original fit stopped early (Besiroglu et al. 2404.10102).
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls

HUBER_DELTA = 1e-3  # on log losses: Hoffmann et al.
HUBER_DELTAS = (1.0, 10 * HUBER_DELTA, HUBER_DELTA)  # one after the other
_STARTS = (0.1, 0.25, 0.5, 1.0)  # of each exponent
_POLISHED = 4  # best starts that are optimized
_MAX_EXPONENT = 3.0
_LEAST_DISTINCT = 3  # values of an input that a scale and an exponent beside E need
_FLAT = 1e-6  # spread of log inputs that counts as none


@dataclass(frozen=True)
class PowerLaw:
    """L(x) = Σ_v e^{log_scales[v]} / x_v^{exponents[v]} + irreducible.

    Attributes:
      log_scales: [V], a and b.
      exponents: [V], α and β.
      irreducible: E, in the unit of the losses.
    """

    log_scales: np.ndarray
    exponents: np.ndarray
    irreducible: float

    def loss(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the losses [R] of `inputs` [R, V]."""
        terms = self.log_scales - self.exponents * np.log(inputs)
        return np.exp(terms).sum(axis=1) + self.irreducible


def fit_power_law(
    inputs: np.ndarray,
    losses: np.ndarray,
    *,
    irreducible: float | None = None,
    start: PowerLaw | None = None,
) -> PowerLaw:
    """Returns the law that minimizes the Huber loss of the log residuals.

    Args:
      inputs: [R, V], such as columns N (without embeddings) and D (training tokens).
      losses: [R], positive.
      irreducible: fixes E, so that two sizes are enough for a law of N alone: 0 for a pure power
        law, or E of a fit to many arms. None fits it.
      start: the only starting point, instead of a grid over the exponents.

    Raises:
      ValueError: the runs do not determine the law: fewer runs than its 2V + 1 parameters, fewer
        than 3 distinct values of an input (each one less if E is fixed), or one input a power of
        another (tokens = 20 N).
    """
    inputs, losses = np.asarray(inputs, float), np.asarray(losses, float)
    problem = problem_of(inputs, losses, irreducible)
    if problem:
        raise ValueError(f"cannot fit a power law: {problem}")
    if start is None:
        return _of_grid(inputs.tobytes(), inputs.shape, losses.tobytes(), irreducible)
    logs = np.log(inputs)
    center = logs.mean(axis=0)
    return _best([packed(start, center)], logs - center, center, losses, irreducible)


@functools.lru_cache(maxsize=64)  # accuracies over one loss share its law
def _of_grid(
    inputs: bytes, shape: tuple[int, int], losses: bytes, irreducible: float | None
) -> PowerLaw:
    logs, values = np.log(np.frombuffer(inputs).reshape(shape)), np.frombuffer(losses)
    center = logs.mean(axis=0)
    starts = grid_starts(logs - center, values, irreducible)
    return _best(starts, logs - center, center, values, irreducible)


def _best(
    starts: Sequence[np.ndarray],
    centered: np.ndarray,
    center: np.ndarray,
    losses: np.ndarray,
    irreducible: float | None,
) -> PowerLaw:
    """Returns the best law that is reached from any of `starts`."""
    targets = np.log(losses)
    solutions = [_polish(point, centered, targets, irreducible) for point in starts]
    heights, exponents, log_irreducible = min(solutions, key=lambda solution: solution[0])[1]
    found = float(np.exp(log_irreducible)) if irreducible is None else irreducible
    return PowerLaw(heights + exponents * center, exponents, found)


def residuals_of(
    parameters: np.ndarray,
    centered: np.ndarray,
    targets: np.ndarray,
    irreducible: float | None,
    fixed: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the residuals [N, R] of log losses, and their Jacobian [N, R, P]."""
    num_inputs = centered.shape[1]
    heights, exponents = parameters[:, :num_inputs], parameters[:, num_inputs : 2 * num_inputs]
    powers = heights[:, None] - exponents[:, None] * centered
    constants = parameters[:, -1] if irreducible is None else np.full(len(parameters), fixed)
    columns = np.broadcast_to(constants[:, None, None], (*powers.shape[:2], 1))
    terms = np.concatenate([powers, columns], axis=2)
    largest = terms.max(axis=2)
    totals = np.log(np.exp(terms - largest[:, :, None]).sum(axis=2)) + largest
    shares = np.exp(terms - totals[:, :, None])
    of_powers = shares[:, :, :-1]
    slopes = np.concatenate([of_powers, -of_powers * centered, shares[:, :, -1:]], axis=2)
    return totals - targets, slopes[:, :, : parameters.shape[1]]


def bounds_of(
    num_inputs: int, lowest: np.ndarray, highest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bounds [N, 2V + 1] of fits whose lowest and highest log losses are given."""
    ones = np.ones((len(lowest), num_inputs))
    low, high = lowest[:, None], highest[:, None]
    return (
        np.hstack([(low - 15) * ones, 1e-3 * ones, low - 10]),
        np.hstack([(high + 3) * ones, _MAX_EXPONENT * ones, low]),
    )


def has_enough_runs(
    inputs: np.ndarray, losses: np.ndarray, *, irreducible: float | None = None
) -> bool:
    """Returns whether the runs determine a law."""
    return not problem_of(inputs, losses, irreducible)


def problem_of(inputs: np.ndarray, losses: np.ndarray, irreducible: float | None) -> str:
    """Returns why the runs do not determine a law, or ""."""
    if inputs.ndim != 2 or losses.ndim != 1:
        return (
            f"expected inputs of shape [runs, inputs] and losses of shape [runs], found "
            f"{inputs.shape} and {losses.shape}"
        )
    num_inputs = inputs.shape[1]
    if len(inputs) != len(losses):
        return f"expected as many inputs as losses, found {len(inputs)} and {len(losses)}"
    if (
        not (np.isfinite(inputs) & (inputs > 0)).all()
        or not (np.isfinite(losses) & (losses > 0)).all()
    ):
        return "expected positive finite inputs and losses"
    if irreducible is not None and not 0 <= irreducible < losses.min():
        return f"irreducible: expected at least 0 and less than every loss, found {irreducible:g}"
    needed = 2 * num_inputs + (irreducible is None)
    distinct = len(np.unique(inputs, axis=0))
    if distinct < needed:
        return f"{needed} parameters need as many runs of distinct inputs, found {distinct}"
    counts = [len(np.unique(column)) for column in inputs.T]
    least = _LEAST_DISTINCT if irreducible is None else _LEAST_DISTINCT - 1
    for column, count in enumerate(counts):
        if count < least:
            return f"input {column} needs {least} distinct values, found {count}"
    if sum(counts) - num_inputs + 1 < needed:  # what a grid of these values determines
        return f"{needed} parameters need more distinct values of an input, found {counts}"
    logs = np.log(inputs)
    if np.linalg.svd(logs - logs.mean(axis=0), compute_uv=False)[-1] < _FLAT * len(logs):
        return "one input is a power of the others: fit a law of fewer inputs"
    return ""


def grid_starts(
    centered: np.ndarray, losses: np.ndarray, irreducible: float | None
) -> list[np.ndarray]:
    """Returns the best starting points of a grid over the exponents, scales solved for."""
    candidates = []
    for exponents in itertools.product(_STARTS, repeat=centered.shape[1]):
        terms = np.exp(-np.array(exponents) * centered)
        if irreducible is None:
            terms = np.column_stack([terms, np.ones(len(losses))])
        scales, residual = nnls(terms / losses[:, None], 1 - (irreducible or 0.0) / losses)
        logs = np.log(np.maximum(scales, 1e-3 * losses.min()))
        num_inputs = len(exponents)
        point = np.concatenate([logs[:num_inputs], exponents, logs[num_inputs:]])
        candidates.append((residual, point))
    candidates.sort(key=lambda candidate: candidate[0])
    return [point for _, point in candidates[:_POLISHED]]


Solution = tuple[np.ndarray, np.ndarray, float]  # log terms at the center, exponents, log E


def _polish(
    point: np.ndarray, centered: np.ndarray, targets: np.ndarray, irreducible: float | None
) -> tuple[float, Solution]:
    """Returns the cost and the parameters of the optimum reached from `point`.

    Parameters: the log of each term at the center, the exponents, and log E unless it is fixed.
    """
    num_inputs = centered.shape[1]
    lowest, highest = targets.min(), targets.max()
    num_free = 2 * num_inputs + (irreducible is None)
    bounds = bounds_of(num_inputs, np.array([lowest]), np.array([highest]))
    low, high = (ends[0, :num_free] for ends in bounds)
    fixed = np.log(irreducible) if irreducible else -np.inf

    def residuals(parameters: np.ndarray) -> np.ndarray:
        return residuals_of(parameters[None], centered, targets, irreducible, fixed)[0][0]

    def jacobian(parameters: np.ndarray) -> np.ndarray:
        return residuals_of(parameters[None], centered, targets, irreducible, fixed)[1][0]

    cost = np.inf
    for delta in HUBER_DELTAS:
        found = least_squares(
            residuals,
            np.clip(point[:num_free], low + 1e-9, high - 1e-9),
            jacobian,
            bounds=(low, high),
            loss="huber",
            f_scale=delta,
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-14,
            max_nfev=300,
        )
        point, cost = found.x, float(found.cost)
    heights, exponents = np.split(point[: 2 * num_inputs], 2)
    return cost, (heights, exponents, float(point[-1] if irreducible is None else fixed))


def packed(law: PowerLaw, center: np.ndarray) -> np.ndarray:
    heights = law.log_scales - law.exponents * center
    log_irreducible = np.log(max(law.irreducible, np.finfo(float).tiny))
    return np.concatenate([heights, law.exponents, [log_irreducible]])
