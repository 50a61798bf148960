"""Power laws of resamples: intervals by the bootstrap, and leave-one-out."""

from collections.abc import Sequence

import numpy as np

from codepretrain.inference.ladder.many_fits import best_of_starts, ends_of, fit_many, weights_of
from codepretrain.inference.ladder.power_law import (
    HUBER_DELTAS,
    PowerLaw,
    bounds_of,
    fit_power_law,
    grid_starts,
    has_enough_runs,
    packed,
    problem_of,
    residuals_of,
)
from codepretrain.inference.ladder.resampling import (
    Groups,
    Prediction,
    bootstrap,
    percentile_prediction,
    without_each_group,
)


def bootstrap_power_laws(
    inputs: np.ndarray,
    losses: np.ndarray,
    *,
    irreducible: float | None = None,
    groups: Groups | None = None,
    num_draws: int = 200,
    seed: int = 0,
) -> list[PowerLaw]:
    """Returns the laws of `num_draws` resamples of the runs (or of the groups of runs)."""
    inputs, losses = np.asarray(inputs, float), np.asarray(losses, float)
    law = fit_power_law(inputs, losses, irreducible=irreducible)
    resamples = bootstrap(
        len(losses),
        lambda runs: has_enough_runs(inputs[runs], losses[runs], irreducible=irreducible),
        groups=groups,
        num_draws=num_draws,
        seed=seed,
    )
    return refit_power_laws(inputs, losses, list(resamples), start=law, irreducible=irreducible)


def refit_power_laws(
    inputs: np.ndarray,
    losses: np.ndarray,
    resamples: Sequence[np.ndarray],
    *,
    start: PowerLaw,
    irreducible: float | None = None,
    has_grid: bool = False,
) -> list[PowerLaw]:
    """Returns the laws of resamples of the runs, all fit at once (`many_fits.py`).

    Args:
      resamples: numbers of runs, each of which determines a law.
      start: of all runs. has_grid: whether the best starts of a grid are tried besides.
    """
    logs = np.log(inputs)
    center = logs.mean(axis=0)
    centered, targets = logs - center, np.log(losses)
    starts = [packed(start, center)]
    if has_grid:
        starts += grid_starts(centered, losses, irreducible)
    num_free = 2 * inputs.shape[1] + (irreducible is None)
    weights = np.tile(weights_of(resamples, len(losses)), (len(starts), 1))
    low, high = bounds_of(inputs.shape[1], *ends_of(targets, weights))
    low, high = low[:, :num_free], high[:, :num_free]
    found = np.repeat([point[:num_free] for point in starts], len(resamples), axis=0)
    fixed = np.log(irreducible) if irreducible else -np.inf
    for delta in HUBER_DELTAS:
        found, cost = fit_many(
            lambda parameters: residuals_of(parameters, centered, targets, irreducible, fixed),
            np.clip(found, low + 1e-9, high - 1e-9),
            low,
            high,
            weights,
            huber_delta=delta,
        )
    laws = []
    for parameters in best_of_starts(found, cost, len(starts)):
        heights, exponents = np.split(parameters[: 2 * inputs.shape[1]], 2)
        constant = float(np.exp(parameters[-1])) if irreducible is None else irreducible
        laws.append(PowerLaw(heights + exponents * center, exponents, constant))
    return laws


def predict_loss(
    inputs: np.ndarray,
    losses: np.ndarray,
    target: np.ndarray,
    *,
    irreducible: float | None = None,
    groups: Groups | None = None,
    num_draws: int = 200,
    seed: int = 0,
) -> Prediction:
    """Returns the loss at `target` [V], with an interval over runs.

    The interval is of the law, not of one training run: the spread between seeds at the target is
    not part of it, nor is the error of the law's form.
    """
    point = np.asarray(target, float)[None]
    laws = bootstrap_power_laws(
        inputs, losses, irreducible=irreducible, groups=groups, num_draws=num_draws, seed=seed
    )
    law = fit_power_law(inputs, losses, irreducible=irreducible)
    draws = np.array([law.loss(point)[0] for law in laws])
    return percentile_prediction(law.loss(point)[0], draws)


def leave_one_out_losses(
    inputs: np.ndarray,
    losses: np.ndarray,
    *,
    irreducible: float | None = None,
    groups: Groups | None = None,
) -> np.ndarray:
    """Returns [R]: each run's loss as predicted from the runs of all other groups."""
    inputs, losses = np.asarray(inputs, float), np.asarray(losses, float)

    start = fit_power_law(inputs, losses, irreducible=irreducible)
    kept_of = without_each_group(len(losses), groups)
    for kept in kept_of:
        problem = problem_of(inputs[kept], losses[kept], irreducible)
        if problem:
            raise ValueError(f"cannot fit a power law without one group: {problem}")
    laws = refit_power_laws(
        inputs, losses, kept_of, start=start, irreducible=irreducible, has_grid=True
    )
    predicted = np.empty(len(losses))
    for kept, law in zip(kept_of, laws, strict=True):
        left_out = np.setdiff1d(np.arange(len(losses)), kept)
        predicted[left_out] = law.loss(inputs[left_out])
    return predicted
