"""Many fits at once against SciPy's, one by one."""

import numpy as np
import pytest

from codepretrain.inference.ladder.accuracy_curve import (
    fit_accuracy_curve,
    leave_one_out_accuracies,
)
from codepretrain.inference.ladder.many_fits import best_of_starts, ends_of, fit_many, weights_of
from codepretrain.inference.ladder.power_law import HUBER_DELTA, PowerLaw, fit_power_law
from codepretrain.inference.ladder.power_law_resamples import refit_power_laws

RUNS = np.array([[n, d] for n in (1e6, 4e6, 16e6) for d in (2e7, 4e7, 8e7)]).repeat(2, axis=0)


def losses_of(seed):
    exact = 1 + 40 * RUNS[:, 0] ** -0.35 + 90 * RUNS[:, 1] ** -0.3
    return exact + np.random.default_rng(seed).normal(0, 0.003, len(RUNS))


def huber(law: PowerLaw, inputs, losses):
    size = np.abs(np.log(law.loss(inputs)) - np.log(losses))
    return np.where(size <= HUBER_DELTA, size**2 / 2, HUBER_DELTA * (size - HUBER_DELTA / 2)).sum()


def test_a_line_within_bounds_and_weights():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 50.0])
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])  # the last run is left out

    def model(parameters):
        slopes = np.broadcast_to(np.stack([np.ones(3), x], axis=1), (2, 3, 2))
        return parameters[:, :1] + parameters[:, 1:] * x - y, slopes

    low, high = np.full((2, 2), -9.0), np.array([[9.0, 9.0], [9.0, 1.5]])
    found, cost = fit_many(model, np.zeros((2, 2)), low, high, weights)

    # Free: 1 + 2x. Held to a slope of 1.5: residuals of ±0.25 around 1.25 + 1.5x.
    np.testing.assert_allclose(found, np.array([[1, 2], [1.25, 1.5]]), atol=1e-6)
    np.testing.assert_allclose(cost, np.array([0, 0.0625]), atol=1e-9)


def test_resamples_as_weights():
    weights = weights_of([np.array([0, 0, 2]), np.array([1, 2, 2])], 3)

    np.testing.assert_array_equal(weights, [[2, 0, 1], [0, 1, 2]])
    lowest, highest = ends_of(np.array([5.0, 7.0, 6.0]), weights)
    np.testing.assert_array_equal([lowest, highest], [[5, 6], [6, 7]])


def test_best_start_of_each_resample():
    found = np.array([[1.0], [2.0], [3.0], [4.0]])  # two starts of two resamples

    np.testing.assert_array_equal(
        best_of_starts(found, np.array([0.1, 0.9, 0.5, 0.2]), 2), [[1.0], [4.0]]
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_power_laws_are_fit_no_worse_than_one_by_one(seed):
    losses = losses_of(seed)
    rng = np.random.default_rng(seed)
    resamples = [rng.integers(len(RUNS), size=len(RUNS)) for _ in range(6)]
    start = fit_power_law(RUNS, losses)

    laws = refit_power_laws(RUNS, losses, resamples, start=start)
    for runs, law in zip(resamples, laws, strict=True):
        alone = fit_power_law(RUNS[runs], losses[runs], start=start)
        ours, theirs = (huber(one, RUNS[runs], losses[runs]) for one in (law, alone))
        assert ours <= theirs * (1 + 1e-3) + 1e-12


@pytest.mark.parametrize("chance", [0.25, None])
def test_accuracies_left_out_are_those_of_fits_one_by_one(chance):
    losses = losses_of(2)
    accuracies = 0.25 + 0.5 / (1 + np.exp(5 * (losses - 2)))
    groups = [tuple(point) for point in RUNS]

    found = leave_one_out_accuracies(losses, accuracies, chance=chance, groups=groups)

    for group in dict.fromkeys(groups):
        left_out = np.array([one == group for one in groups])
        curve = fit_accuracy_curve(losses[~left_out], accuracies[~left_out], chance=chance)
        np.testing.assert_allclose(found[left_out], curve.accuracy(losses[left_out]), atol=1e-4)
