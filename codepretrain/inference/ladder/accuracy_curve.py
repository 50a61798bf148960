"""Accuracy as a sigmoid of the loss, and accuracy at a size that was not trained.

acc(L) = a / (1 + e^{−k(L − L₀)}) + b, with b the ceiling at low loss, a + b the floor at high loss,
k > 0. Source: Bhagia et al. 2412.04403 (OLMo-ladder), step 2. Deviations: the floor can be fixed at
the accuracy of guessing, and the limits stay within 0 and 1.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from codepretrain.inference.ladder.power_law import (
    PowerLaw,
    fit_power_law,
    has_enough_runs,
)
from codepretrain.inference.ladder.resampling import (
    Groups,
    Prediction,
    bootstrap,
    leave_one_out,
    percentile_prediction,
)

_STEEPNESS = (2.0, 6.0, 20.0)  # starts, per range of the losses
_MIDPOINTS = (-0.5, 0.1, 0.5, 0.9, 1.5)  # starts, as places within the range of the losses
_REACH = 3.0  # how many ranges of the losses the midpoint may lie outside of it
_MAX_STEEPNESS = 200.0  # per range of the losses


@dataclass(frozen=True)
class AccuracyCurve:
    """acc(L) = floor + (ceiling − floor) / (1 + e^{steepness (L − midpoint)}).

    Attributes:
      floor: accuracy at high loss, a + b of the source.
      ceiling: accuracy at low loss, b.
      steepness: k, per unit of the loss.
      midpoint: L₀.
    """

    floor: float
    ceiling: float
    steepness: float
    midpoint: float

    def accuracy(self, losses: np.ndarray) -> np.ndarray:
        """Returns accuracies of the shape of `losses`."""
        share = expit(-self.steepness * (np.asarray(losses, float) - self.midpoint))
        return self.floor + (self.ceiling - self.floor) * share


def fit_accuracy_curve(
    losses: np.ndarray,
    accuracies: np.ndarray,
    *,
    chance: float | None = None,
    start: AccuracyCurve | None = None,
) -> AccuracyCurve:
    """Returns the least-squares curve; the best of several starting points.

    Args:
      losses: [R], the task's own loss (such as bits per byte of the right answers).
      accuracies: [R], shares within 0 and 1.
      chance: accuracy of guessing, at which the floor is fixed; None fits the floor.
      start: the only starting point, instead of a grid.

    Raises:
      ValueError: fewer distinct losses than parameters (3 with `chance`, else 4), or accuracies
        outside of 0 and 1.
    """
    losses, accuracies = np.asarray(losses, float), np.asarray(accuracies, float)
    problem = _problem(losses, accuracies, chance)
    if problem:
        raise ValueError(f"cannot fit an accuracy curve: {problem}")
    lowest, spread = losses.min(), np.ptp(losses)
    if start is None:
        starts = [
            _start(losses, accuracies, steepness / spread, lowest + place * spread, chance)
            for steepness, place in itertools.product(_STEEPNESS, _MIDPOINTS)
        ]
    else:
        starts = [start]
    fits = [_polish(curve, losses, accuracies, chance) for curve in starts]
    return min(fits, key=lambda fit: fit[0])[1]


def leave_one_out_accuracies(
    losses: np.ndarray,
    accuracies: np.ndarray,
    *,
    chance: float | None = None,
    groups: Groups | None = None,
) -> np.ndarray:
    """Returns [R]: the accuracy at each run's loss as predicted from the runs of other groups."""
    losses, accuracies = np.asarray(losses, float), np.asarray(accuracies, float)

    def fit_and_predict(kept: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        curve = fit_accuracy_curve(losses[kept], accuracies[kept], chance=chance)
        return curve.accuracy(losses[left_out])

    return leave_one_out(fit_and_predict, len(losses), groups=groups)


def predict_accuracy(
    inputs: np.ndarray,
    losses: np.ndarray,
    accuracies: np.ndarray,
    target: np.ndarray,
    *,
    chance: float | None = None,
    groups: Groups | None = None,
    num_draws: int = 200,
    seed: int = 0,
) -> Prediction:
    """Returns the accuracy at `target` [V] by both steps: size to task loss, loss to accuracy.

    Both laws are fit to the same resamples, so that the interval holds the errors of both, with
    their correlation. It is of the laws, not of one training run at the target.

    Args:
      inputs: [R, V], such as columns N (without embeddings) and D.
      losses: [R], the task's loss.
      accuracies: [R].
    """
    inputs, point = np.asarray(inputs, float), np.asarray(target, float)[None]
    losses, accuracies = np.asarray(losses, float), np.asarray(accuracies, float)
    law = fit_power_law(inputs, losses)
    curve = fit_accuracy_curve(losses, accuracies, chance=chance)

    def is_usable(runs: np.ndarray) -> bool:
        is_curve_determined = not _problem(losses[runs], accuracies[runs], chance)
        return is_curve_determined and has_enough_runs(inputs[runs], losses[runs])

    draws = []
    for runs in bootstrap(len(losses), is_usable, groups=groups, num_draws=num_draws, seed=seed):
        drawn = fit_power_law(inputs[runs], losses[runs], start=law)
        drawn_curve = fit_accuracy_curve(losses[runs], accuracies[runs], chance=chance, start=curve)
        draws.append(_at(drawn, drawn_curve, point))
    return percentile_prediction(_at(law, curve, point), np.array(draws))


def _at(law: PowerLaw, curve: AccuracyCurve, point: np.ndarray) -> float:
    return float(curve.accuracy(law.loss(point))[0])


def _problem(losses: np.ndarray, accuracies: np.ndarray, chance: float | None) -> str:
    """Returns why the runs do not determine a curve, or ""."""
    if losses.shape != accuracies.shape:
        return f"expected one accuracy per loss, found {losses.shape} and {accuracies.shape}"
    if not np.isfinite(losses).all():
        return "expected finite losses"
    if not ((accuracies >= 0) & (accuracies <= 1)).all():
        return "expected accuracies within 0 and 1 (shares, not percent)"
    needed = 4 if chance is None else 3
    count = len(np.unique(losses))
    return "" if count >= needed else f"expected at least {needed} distinct losses, found {count}"


def _start(
    losses: np.ndarray,
    accuracies: np.ndarray,
    steepness: float,
    midpoint: float,
    chance: float | None,
) -> AccuracyCurve:
    """Returns the curve of a given shape whose limits are solved for by a line."""
    share = expit(-steepness * (losses - midpoint))
    if chance is None:
        floor, height = np.linalg.lstsq(
            np.column_stack([np.ones(len(share)), share]), accuracies, rcond=None
        )[0]
    else:
        floor, height = chance, share @ (accuracies - chance) / (share @ share)
    return AccuracyCurve(float(floor), float(floor + height), steepness, midpoint)


def _polish(
    curve: AccuracyCurve, losses: np.ndarray, accuracies: np.ndarray, chance: float | None
) -> tuple[float, AccuracyCurve]:
    """Returns the cost and the curve of the optimum reached from `curve`."""
    lowest, highest, spread = losses.min(), losses.max(), np.ptp(losses)

    def curve_of(parameters: np.ndarray) -> AccuracyCurve:
        ceiling, log_steepness, midpoint, *floor = parameters
        limit = floor[0] if chance is None else chance
        return AccuracyCurve(
            float(limit), float(ceiling), float(np.exp(log_steepness)), float(midpoint)
        )

    def residuals(parameters: np.ndarray) -> np.ndarray:
        return curve_of(parameters).accuracy(losses) - accuracies

    low = [chance or 0.0, np.log(0.1 / spread), lowest - _REACH * spread]
    high = [1.0, np.log(_MAX_STEEPNESS / spread), highest + _REACH * spread]
    point = [curve.ceiling, np.log(curve.steepness), curve.midpoint]
    if chance is None:
        low, high, point = [*low, 0.0], [*high, 1.0], [*point, curve.floor]
    margin = 1e-9 * np.maximum(1, np.abs(np.array(high)))
    inside = np.clip(point, np.array(low) + margin, np.array(high) - margin)
    solution = least_squares(
        residuals, inside, bounds=(low, high), x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    return float(solution.cost), curve_of(solution.x)
