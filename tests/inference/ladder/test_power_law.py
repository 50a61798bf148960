import numpy as np
import pytest
from scipy.optimize import minimize

from codepretrain.inference.ladder.power_law import HUBER_DELTA, PowerLaw, fit_power_law
from codepretrain.inference.ladder.power_law_resamples import (
    bootstrap_power_laws,
    leave_one_out_losses,
    predict_loss,
)

# Hoffmann et al. 2203.15556, equation 10: A = 406.4, B = 410.7.
HOFFMANN = PowerLaw(np.log([406.4, 410.7]), np.array([0.34, 0.28]), 1.69)
RUNS = np.array(
    [(n, d) for n in (3e7, 6e7, 1.25e8, 2.5e8, 4.7e8) for d in (1e9, 4e9, 1.6e10, 6.4e10)]
)
TARGET = np.array([2.8e9, 2e11])


def noisy(scale: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(len(RUNS))
    return HOFFMANN.loss(RUNS) * np.exp(scale * noise)


def objective(law: PowerLaw, losses: np.ndarray) -> float:
    """The sum of Huber losses, written down anew."""
    size = np.abs(np.log(law.loss(RUNS)) - np.log(losses))
    linear = HUBER_DELTA * (size - HUBER_DELTA / 2)
    return float(np.where(size < HUBER_DELTA, size**2 / 2, linear).sum())


def test_a_loss_by_hand() -> None:
    law = PowerLaw(np.log([2.0, 3.0]), np.array([0.5, 1.0]), 1.0)
    np.testing.assert_allclose(law.loss(np.array([[4.0, 6.0], [16.0, 1.0]])), [2.5, 4.5])


def test_the_planted_law_is_found_exactly_without_noise() -> None:
    law = fit_power_law(RUNS, HOFFMANN.loss(RUNS))
    np.testing.assert_allclose(law.log_scales, HOFFMANN.log_scales, rtol=1e-6)
    np.testing.assert_allclose(law.exponents, HOFFMANN.exponents, rtol=1e-6)
    assert law.irreducible == pytest.approx(1.69, rel=1e-6)


def test_the_planted_law_is_found_in_noise() -> None:
    law = fit_power_law(RUNS, noisy(0.001))
    np.testing.assert_allclose(law.exponents, HOFFMANN.exponents, atol=0.02)
    assert law.irreducible == pytest.approx(1.69, abs=0.05)
    assert law.loss(TARGET[None])[0] == pytest.approx(HOFFMANN.loss(TARGET[None])[0], rel=0.005)


def test_a_search_without_derivatives_finds_nothing_lower() -> None:
    losses = noisy(0.005)
    law = fit_power_law(RUNS, losses)
    point = np.array([*law.log_scales, *law.exponents, law.irreducible])

    def at(parameters: np.ndarray) -> float:
        return objective(PowerLaw(parameters[:2], parameters[2:4], parameters[4]), losses)

    found = minimize(at, point, method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-12})
    assert at(point) < objective(HOFFMANN, losses)
    assert at(point) <= found.fun * (1 + 1e-4)


def test_a_diverged_run_has_little_influence() -> None:
    losses = noisy(0.001)
    losses[7] *= 1.5
    law = fit_power_law(RUNS, losses)
    assert law.loss(TARGET[None])[0] == pytest.approx(HOFFMANN.loss(TARGET[None])[0], rel=0.01)


def test_a_law_of_one_input_and_of_another_unit() -> None:
    compute = np.array([[1e17], [1e18], [1e19], [1e20], [1e21]])
    planted = PowerLaw(np.array([5.0]), np.array([0.12]), 0.6)
    law = fit_power_law(compute, planted.loss(compute))
    in_bits = fit_power_law(compute, planted.loss(compute) / np.log(2))
    assert law.irreducible == pytest.approx(0.6, rel=1e-4)
    assert law.exponents[0] == pytest.approx(0.12, rel=1e-4)
    np.testing.assert_allclose(in_bits.loss(compute) * np.log(2), law.loss(compute), rtol=1e-6)
    assert in_bits.exponents[0] == pytest.approx(0.12, rel=1e-4)


@pytest.mark.parametrize("irreducible", [0.0, 1.69])
def test_two_sizes_are_enough_where_the_irreducible_loss_is_known(irreducible: float) -> None:
    sizes = np.array([[3e7], [1.25e8]])
    planted = PowerLaw(np.log([406.4]), np.array([0.34]), irreducible)
    law = fit_power_law(sizes, planted.loss(sizes), irreducible=irreducible)
    assert law.irreducible == irreducible
    np.testing.assert_allclose(law.loss(TARGET[None, :1]), planted.loss(TARGET[None, :1]))
    with pytest.raises(ValueError, match="3 parameters need as many runs of distinct inputs"):
        fit_power_law(sizes, planted.loss(sizes))


def test_a_law_of_both_inputs_with_known_irreducible_loss() -> None:
    law = fit_power_law(RUNS[:8], HOFFMANN.loss(RUNS[:8]), irreducible=1.69)
    np.testing.assert_allclose(law.exponents, HOFFMANN.exponents, rtol=1e-4)
    message = r"4 parameters need more distinct values of an input, found \[2, 2\]"
    with pytest.raises(ValueError, match=message):
        fit_power_law(RUNS[[0, 1, 4, 5]], HOFFMANN.loss(RUNS[[0, 1, 4, 5]]), irreducible=1.69)
    with pytest.raises(ValueError, match="less than every loss, found 9"):
        fit_power_law(RUNS, HOFFMANN.loss(RUNS), irreducible=9.0)


def test_the_interval_covers_the_target_and_grows_with_noise() -> None:
    little, much = (
        predict_loss(RUNS, noisy(scale), TARGET, num_draws=20) for scale in (0.001, 0.005)
    )
    assert little.interval.low <= HOFFMANN.loss(TARGET[None])[0] <= little.interval.high
    assert much.interval.high - much.interval.low > 2 * (little.interval.high - little.interval.low)


def test_checkpoints_of_one_run_are_resampled_together() -> None:
    """An error shared by a size is no smaller for having been seen at four checkpoints."""
    sizes = np.repeat(np.arange(5), 4)
    shared = 0.004 * np.array([1, -1, 0.5, 1, -1.5])[sizes]
    losses = HOFFMANN.loss(RUNS) * np.exp(shared)
    spreads = [
        np.std(
            [
                law.loss(TARGET[None])[0]
                for law in bootstrap_power_laws(RUNS, losses, groups=groups, num_draws=20)
            ]
        )
        for groups in (None, list(sizes))
    ]
    assert spreads[1] > 1.3 * spreads[0]


def test_the_largest_size_is_predicted_from_the_others() -> None:
    losses = noisy(0.001)
    predicted = leave_one_out_losses(RUNS, losses, groups=list(RUNS[:, 0]))
    largest = RUNS[:, 0] == 4.7e8
    expected = fit_power_law(RUNS[~largest], losses[~largest]).loss(RUNS[largest])
    np.testing.assert_allclose(predicted[largest], expected)
    assert np.abs(predicted / losses - 1).max() < 0.01


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (RUNS[:4], "5 parameters need as many runs of distinct inputs, found 4"),
        (RUNS[:8], "input 0 needs 3 distinct values, found 2"),
        (RUNS[:, 0], r"inputs of shape \[runs, inputs\] .* found \(20,\) and \(20,\)"),
        (np.array([(n, 20 * n) for n in range(1, 9)]), "one input is a power of the others"),
        (np.zeros((6, 2)), "expected positive finite inputs and losses"),
    ],
)
def test_runs_that_do_not_determine_a_law(inputs: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_power_law(inputs, np.linspace(4, 3, len(inputs)))


def test_inputs_and_losses_differ_in_number() -> None:
    with pytest.raises(ValueError, match="as many inputs as losses, found 20 and 19"):
        fit_power_law(RUNS, HOFFMANN.loss(RUNS)[:-1])
