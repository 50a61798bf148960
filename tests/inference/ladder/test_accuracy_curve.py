import math

import numpy as np
import pytest

from codepretrain.inference.ladder.accuracy_curve import (
    AccuracyCurve,
    fit_accuracy_curve,
    leave_one_out_accuracies,
    predict_accuracy,
)
from codepretrain.inference.ladder.power_law import PowerLaw

PLANTED = AccuracyCurve(floor=0.25, ceiling=0.85, steepness=3.0, midpoint=1.4)
LOSSES = np.linspace(0.9, 2.2, 14)

LAW = PowerLaw(np.array([4.0, 4.0]), np.array([0.28, 0.25]), 0.6)
RUNS = np.array([(n, d) for n in (3e7, 1.25e8, 4.7e8) for d in (1e9, 4e9, 1.6e10, 6.4e10)])
TARGET = np.array([2.8e9, 2e11])


def test_the_form_of_the_source() -> None:
    a, b, k, middle = 0.25 - 0.85, 0.85, 3.0, 1.4
    expected = [a / (1 + math.exp(-k * (loss - middle))) + b for loss in LOSSES]
    np.testing.assert_allclose(PLANTED.accuracy(LOSSES), expected)
    assert PLANTED.accuracy(np.array(1.4)) == pytest.approx(0.55)


@pytest.mark.parametrize("chance", [None, 0.25])
def test_the_planted_curve_is_found(chance: float | None) -> None:
    curve = fit_accuracy_curve(LOSSES, PLANTED.accuracy(LOSSES), chance=chance)
    assert curve.floor == pytest.approx(0.25, abs=1e-4)
    assert curve.ceiling == pytest.approx(0.85, abs=1e-4)
    assert curve.steepness == pytest.approx(3.0, abs=1e-3)
    assert curve.midpoint == pytest.approx(1.4, abs=1e-3)


def test_the_planted_curve_is_found_in_noise() -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(LOSSES))
    curve = fit_accuracy_curve(LOSSES, PLANTED.accuracy(LOSSES) + noise, chance=0.25)
    unseen = np.array([0.8, 1.05, 1.45, 2.0])
    np.testing.assert_allclose(curve.accuracy(unseen), PLANTED.accuracy(unseen), atol=0.02)


def test_limits_stay_within_chance_and_one() -> None:
    """Models that are all near chance say nothing of the ceiling."""
    accuracies = np.array([0.25, 0.24, 0.26, 0.25, 0.26])
    curve = fit_accuracy_curve(np.linspace(2, 3, 5), accuracies, chance=0.25)
    assert 0.25 <= curve.ceiling <= 1
    assert curve.floor == 0.25


def test_each_run_is_predicted_from_the_others() -> None:
    accuracies = PLANTED.accuracy(LOSSES)
    predicted = leave_one_out_accuracies(LOSSES, accuracies, chance=0.25)
    np.testing.assert_allclose(predicted, accuracies, atol=1e-4)
    accuracies[3] += 0.1
    predicted = leave_one_out_accuracies(LOSSES, accuracies, chance=0.25)
    assert predicted[3] == pytest.approx(PLANTED.accuracy(LOSSES)[3], abs=1e-4)


def test_accuracy_at_the_target_by_both_steps() -> None:
    rng = np.random.default_rng(1)
    losses = LAW.loss(RUNS) * np.exp(0.001 * rng.standard_normal(len(RUNS)))
    accuracies = PLANTED.accuracy(losses) + 0.005 * rng.standard_normal(len(RUNS))
    prediction = predict_accuracy(RUNS, losses, accuracies, TARGET, chance=0.25, num_draws=30)
    actual = PLANTED.accuracy(LAW.loss(TARGET[None]))[0]
    assert prediction.value == pytest.approx(actual, abs=0.03)
    assert prediction.interval.low < actual < prediction.interval.high


@pytest.mark.parametrize(
    ("accuracies", "chance", "message"),
    [
        ([25.0, 40.0, 60.0], 0.25, "accuracies within 0 and 1"),
        ([0.3, 0.4], 0.25, "at least 3 distinct losses, found 2"),
        ([0.3, 0.4, 0.5], None, "at least 4 distinct losses, found 3"),
    ],
)
def test_runs_that_do_not_determine_a_curve(
    accuracies: list[float], chance: float | None, message: str
) -> None:
    losses = np.arange(1.0, len(accuracies) + 1)
    with pytest.raises(ValueError, match=message):
        fit_accuracy_curve(losses, np.array(accuracies), chance=chance)
