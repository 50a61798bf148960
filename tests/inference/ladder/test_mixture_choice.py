import itertools

import numpy as np
import pytest

from codepretrain.inference.ladder.mixture_choice import (
    cap_mixture,
    choose_mixture,
    is_within,
    predict_gain,
    share_caps,
)
from codepretrain.inference.ladder.mixture_law import MixtureLaw

LAW = MixtureLaw(
    constants=np.array([1.2, 0.4]),
    scales=np.array([1.6, 0.9]),
    rates=np.array([[-0.9, 0.5, 0.4], [0.8, -1.3, 0.5]]),
)
PLENTY = np.array([6e11, 3e11, 1e11])


def grid(steps: int) -> np.ndarray:
    """All mixtures of three sources in multiples of 1 / steps."""
    pairs = itertools.product(range(steps + 1), repeat=2)
    return np.array([(a, b, steps - a - b) for a, b in pairs if a + b <= steps]) / steps


@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.0, 0.0), (0.2, 0.8)])
@pytest.mark.parametrize("unique", [PLENTY, np.array([3e10, 1e10, 4e10])])
def test_no_mixture_of_a_grid_is_better(weights: tuple, unique: np.ndarray) -> None:
    found = choose_mixture(LAW, np.array(weights), unique, 2e11)
    tried = grid(200)
    tried = tried[(tried <= share_caps(unique, 2e11)).all(axis=1)]
    best = (LAW.losses(tried) @ weights).min()
    assert found.target <= best + 1e-9
    assert found.target >= best - 1e-3
    assert found.gap <= 1e-6 * found.target
    assert found.mixture.sum() == pytest.approx(1)
    assert (found.mixture <= share_caps(unique, 2e11) + 1e-12).all()


def test_no_source_is_read_more_than_four_times() -> None:
    """Code alone is best for code; 10B unique tokens are at most 40B of 200B."""
    found = choose_mixture(LAW, np.array([0.0, 1.0]), np.array([2e11, 1e10, 2e11]), 2e11)
    assert found.mixture[1] == pytest.approx(4 * 1e10 / 2e11)
    free = choose_mixture(LAW, np.array([0.0, 1.0]), np.array([2e11, 2e11, 2e11]), 2e11)
    np.testing.assert_allclose(free.mixture, [0, 1, 0], atol=1e-9)


def test_the_mixtures_that_need_no_law() -> None:
    found = choose_mixture(LAW, np.array([0.5, 0.5]), PLENTY, 2e11)
    np.testing.assert_allclose(found.natural, [0.6, 0.3, 0.1])
    np.testing.assert_allclose(found.uniform, [1 / 3, 1 / 3, 1 / 3])
    expected = LAW.losses(np.stack([found.natural, found.uniform])) @ [0.5, 0.5]
    np.testing.assert_allclose([found.natural_target, found.uniform_target], expected)
    assert found.target <= min(expected)


def test_many_sources_and_domains() -> None:
    rng = np.random.default_rng(0)
    law = MixtureLaw(np.full(13, 2.0), np.full(13, 2.0), rng.normal(-1, 2, (13, 17)))
    unique = rng.uniform(1e9, 1e11, 17)
    found = choose_mixture(law, np.full(13, 1 / 13), unique, 3e11)
    others = rng.dirichlet(np.ones(17), size=2000)
    others = np.stack([cap_mixture(other, share_caps(unique, 3e11)) for other in others])
    assert found.target <= (law.losses(others) @ np.full(13, 1 / 13)).min()


def test_capping_by_hand() -> None:
    """0.6 is cut to 0.4; the rest grows by half, over the second cap, and again."""
    caps = np.array([0.4, 0.4, 1.0])
    np.testing.assert_allclose(cap_mixture(np.array([0.6, 0.3, 0.1]), caps), [0.4, 0.4, 0.2])
    np.testing.assert_allclose(cap_mixture(np.array([0.3, 0.3, 0.4]), caps), [0.3, 0.3, 0.4])
    np.testing.assert_allclose(cap_mixture(np.array([1.0, 0, 0]), caps), [0.4, 6 / 35, 15 / 35])


def test_averages_of_tried_mixtures() -> None:
    tried = np.array([[1.0, 0, 0], [0, 1, 0], [0.2, 0.2, 0.6]])
    assert is_within(tried, np.array([0.4, 0.4, 0.2]))
    assert is_within(tried, tried[2])
    assert not is_within(tried, np.array([0.1, 0.1, 0.8]))


def test_the_gain_over_the_natural_mixture() -> None:
    rng = np.random.default_rng(0)
    tried, weights = rng.dirichlet(np.ones(3), size=16), np.array([0.5, 0.5])
    losses = LAW.losses(tried) + 0.01 * rng.standard_normal((16, 2))
    chosen, natural = np.array([0.5, 0.5, 0]), np.array([0.2, 0.2, 0.6])
    gain = predict_gain(tried, losses, weights, chosen, natural, num_draws=40)
    actual = LAW.losses(np.stack([natural, chosen])) @ weights
    assert gain.interval.low < actual[0] - actual[1] < gain.interval.high
    assert gain.interval.low > 0
    same = predict_gain(tried, losses, weights, natural, natural, num_draws=5)
    assert (same.value, same.interval.low, same.interval.high) == (0.0, 0.0, 0.0)


def test_errors() -> None:
    with pytest.raises(
        ValueError, match=r"at least 200,000,000,000 tokens, found 4,000,000,000 in 4 epochs"
    ):
        choose_mixture(LAW, np.array([1.0, 0]), np.array([5e8, 3e8, 2e8]), 2e11)
    with pytest.raises(ValueError, match="weights: expected 2 numbers of at least 0, not all 0"):
        choose_mixture(LAW, np.array([1.0, -1.0]), PLENTY, 2e11)
    with pytest.raises(ValueError, match="one number for each of 3 sources"):
        choose_mixture(LAW, np.array([1.0, 0]), PLENTY[:2], 2e11)
    with pytest.raises(ValueError, match="positive numbers of unique tokens"):
        share_caps(np.array([0.0, 1.0]), 1.0)
