"""Accuracy as a sigmoid of the loss, and accuracy at a size that was not trained.

acc(L) = a / (1 + e^{−k(L − L₀)}) + b, with b the ceiling at low loss, a + b the floor at high loss,
k > 0. Source: Bhagia et al. 2412.04403 (OLMo-ladder), step 2. Deviations: the floor can be fixed at
the accuracy of guessing, and the limits stay within 0 and 1.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from codepretrain.inference.ladder.many_fits import best_of_starts, ends_of, fit_many, weights_of
from codepretrain.inference.ladder.power_law import (
    PowerLaw,
    fit_power_law,
    has_enough_runs,
)
from codepretrain.inference.ladder.power_law_resamples import refit_power_laws
from codepretrain.inference.ladder.resampling import (
    Groups,
    Prediction,
    bootstrap,
    percentile_prediction,
    without_each_group,
)

_STEEPNESS = (2.0, 6.0, 20.0)  # starts, per range of the losses
_MIDPOINTS = (-0.5, 0.1, 0.5, 0.9, 1.5)  # starts, as places within the range of the losses
_INSIDE = 0.01  # share of the bounds' distance that starts keep from them
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
    starts = _starts(losses, accuracies, chance) if start is None else [start]
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

    kept_of = without_each_group(len(losses), groups)
    for kept in kept_of:
        problem = _problem(losses[kept], accuracies[kept], chance)
        if problem:
            raise ValueError(f"cannot fit an accuracy curve without one group: {problem}")
    starts = [fit_accuracy_curve(losses, accuracies, chance=chance)]
    starts += _starts(losses, accuracies, chance)
    curves = _refit(losses, accuracies, kept_of, starts, chance)
    predicted = np.empty(len(losses))
    for kept, curve in zip(kept_of, curves, strict=True):
        left_out = np.setdiff1d(np.arange(len(losses)), kept)
        predicted[left_out] = curve.accuracy(losses[left_out])
    return predicted


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

    resamples = list(
        bootstrap(len(losses), is_usable, groups=groups, num_draws=num_draws, seed=seed)
    )
    laws = refit_power_laws(inputs, losses, resamples, start=law)
    starts = [curve, *_starts(losses, accuracies, chance)[:: len(_MIDPOINTS) - 1]]
    curves = _refit(losses, accuracies, resamples, starts, chance)
    draws = [_at(*drawn, point) for drawn in zip(laws, curves, strict=True)]
    return percentile_prediction(_at(law, curve, point), np.array(draws))


def _refit(
    losses: np.ndarray,
    accuracies: np.ndarray,
    resamples: Sequence[np.ndarray],
    starts: Sequence[AccuracyCurve],
    chance: float | None,
) -> list[AccuracyCurve]:
    """Returns the curves of resamples of the runs, each the best of several starts."""
    weights = np.tile(weights_of(resamples, len(losses)), (len(starts), 1))
    low, high = _bounds(*ends_of(losses, weights), chance)
    points = [
        [one.ceiling, np.log(one.steepness), one.midpoint, one.floor][: low.shape[1]]
        for one in starts
    ]
    inside = _INSIDE * (high - low)  # a curve at a bound, such as a flat one, may never leave it
    found, cost = fit_many(
        lambda parameters: _residuals(parameters, losses, accuracies, chance),
        np.clip(np.repeat(points, len(resamples), axis=0), low + inside, high - inside),
        low,
        high,
        weights,
    )
    best = best_of_starts(found, cost, len(starts))
    return [_curve(parameters, chance) for parameters in best]


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


def _starts(
    losses: np.ndarray, accuracies: np.ndarray, chance: float | None
) -> list[AccuracyCurve]:
    lowest, spread = losses.min(), np.ptp(losses)
    return [
        _start(losses, accuracies, steepness / spread, lowest + place * spread, chance)
        for steepness, place in itertools.product(_STEEPNESS, _MIDPOINTS)
    ]


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
    low, high = (e[0] for e in _bounds(losses.min()[None], losses.max()[None], chance))
    point = [curve.ceiling, np.log(curve.steepness), curve.midpoint, curve.floor][: len(low)]
    margin = 1e-9 * np.maximum(1, np.abs(high))
    solution = least_squares(
        lambda parameters: _residuals(parameters[None], losses, accuracies, chance)[0][0],
        np.clip(point, low + margin, high - margin),
        lambda parameters: _residuals(parameters[None], losses, accuracies, chance)[1][0],
        bounds=(low, high),
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    return float(solution.cost), _curve(solution.x, chance)


def _curve(parameters: np.ndarray, chance: float | None) -> AccuracyCurve:
    """Returns the curve of the ceiling, log steepness, midpoint and, without `chance`, floor."""
    ceiling, log_steepness, midpoint, *floor = parameters
    limit = floor[0] if chance is None else chance
    return AccuracyCurve(
        float(limit), float(ceiling), float(np.exp(log_steepness)), float(midpoint)
    )


def _residuals(
    parameters: np.ndarray, losses: np.ndarray, accuracies: np.ndarray, chance: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the residuals [N, R] and their Jacobian [N, R, P]."""
    ceiling, log_steepness, midpoint = (column[:, None] for column in parameters[:, :3].T)
    floor = parameters[:, 3:] if chance is None else np.full_like(ceiling, chance)
    steepness = np.exp(log_steepness)
    reach = losses - midpoint
    share = expit(-steepness * reach)
    by_exponent = (ceiling - floor) * share * (1 - share)
    slopes = [share, -by_exponent * steepness * reach, by_exponent * steepness]
    if chance is None:
        slopes.append(1 - share)
    return floor + (ceiling - floor) * share - accuracies, np.stack(slopes, axis=2)


def _bounds(
    lowest: np.ndarray, highest: np.ndarray, chance: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bounds [N, P] of fits whose lowest and highest losses are given."""
    spread, ones = highest - lowest, np.ones(len(lowest))
    low = [(chance or 0.0) * ones, np.log(0.1 / spread), lowest - _REACH * spread]
    high = [ones, np.log(_MAX_STEEPNESS / spread), highest + _REACH * spread]
    if chance is None:
        low, high = [*low, 0 * ones], [*high, ones]
    return np.column_stack(low), np.column_stack(high)
