import numpy as np
import pytest

from codepretrain.inference.ladder.mixture_law import (
    MixtureLaw,
    fit_mixture_law,
    leave_one_out_domains,
    rank_correlations,
)
from tests.inference.ladder.linear_law import fit_linear_law

# Text, code, markup; losses of text and of code.
PLANTED = MixtureLaw(
    constants=np.array([1.2, 0.4]),
    scales=np.array([1.6, 0.9]),
    rates=np.array([[-0.9, 0.5, 0.4], [0.8, -1.3, 0.5]]),
)


def mixtures(count: int, sources: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(sources), size=count)


def test_losses_by_hand() -> None:
    law = MixtureLaw(np.array([1.0]), np.array([2.0]), np.array([[np.log(2), -np.log(2)]]))
    np.testing.assert_allclose(
        law.losses(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])), [[5.0], [3.0], [2.0]]
    )


def test_the_gradient_is_that_of_the_losses() -> None:
    point, step = np.array([0.5, 0.3, 0.2]), 1e-6

    def raw(mixture: np.ndarray) -> np.ndarray:
        return PLANTED.constants + PLANTED.scales * np.exp(PLANTED.rates @ mixture)

    expected = [
        (raw(point + step * unit) - raw(point - step * unit)) / (2 * step) for unit in np.eye(3)
    ]
    np.testing.assert_allclose(PLANTED.gradient(point), np.transpose(expected), rtol=1e-6)


def test_the_planted_law_is_found_without_noise_and_penalty() -> None:
    tried = mixtures(12)
    law = fit_mixture_law(tried, PLANTED.losses(tried), shrinkage=0.0)
    np.testing.assert_allclose(law.constants, PLANTED.constants, atol=1e-4)
    np.testing.assert_allclose(law.scales, PLANTED.scales, atol=1e-4)
    np.testing.assert_allclose(law.rates, PLANTED.rates, atol=1e-4)


def test_the_planted_law_is_found_in_noise() -> None:
    tried, unseen = mixtures(24), mixtures(50, seed=1)
    noise = 0.005 * np.random.default_rng(2).standard_normal((24, 2))
    law = fit_mixture_law(tried, PLANTED.losses(tried) + noise)
    np.testing.assert_allclose(law.losses(unseen), PLANTED.losses(unseen), atol=0.02)
    np.testing.assert_allclose(law.rates.sum(axis=1), 0, atol=1e-9)
    assert (np.sign(law.rates) == np.sign(PLANTED.rates)).all()


def test_the_law_follows_the_unit_of_the_losses() -> None:
    tried = mixtures(12)
    losses = PLANTED.losses(tried) + 0.01 * np.random.default_rng(2).standard_normal((12, 2))
    nats, bits = fit_mixture_law(tried, losses), fit_mixture_law(tried, losses / np.log(2))
    np.testing.assert_allclose(bits.losses(tried) * np.log(2), nats.losses(tried), rtol=1e-5)


def test_few_proxies_of_many_sources() -> None:
    """17 sources and 32 sparse mixtures, as in RegMix's proxies: the law outranks the line."""
    rng = np.random.default_rng(0)
    rates = rng.normal(-0.5, 0.5, (4, 17))
    rates[np.arange(4), np.arange(4)] = -5.0  # a domain gains most from its own source
    planted = MixtureLaw(np.full(4, 4.0), np.full(4, 2.5), rates)
    prior = rng.dirichlet(np.ones(17)) * 3
    tried, unseen = rng.dirichlet(prior, size=32), rng.dirichlet(prior, size=64)
    losses = planted.losses(tried) + 0.02 * rng.standard_normal((32, 4))
    ranks = [
        rank_correlations(fit(tried, losses).losses(unseen), planted.losses(unseen)).mean()
        for fit in (fit_mixture_law, fit_linear_law)
    ]
    assert ranks[0] > 0.9
    assert ranks[0] > ranks[1]


def test_the_line_is_an_average_of_single_sources() -> None:
    tried = mixtures(6)
    alone = np.array([[2.0, 3.0, 4.0], [5.0, 1.0, 2.0]])
    law = fit_linear_law(tried, tried @ alone.T)
    np.testing.assert_allclose(law.coefficients, alone)
    np.testing.assert_allclose(law.losses(np.full((1, 3), 1 / 3)), [[3.0, 8 / 3]])


def test_replicates_of_a_mixture_are_left_out_together() -> None:
    tried = np.repeat(mixtures(8), 2, axis=0)
    losses = PLANTED.losses(tried) + 0.01 * np.random.default_rng(0).standard_normal((16, 2))
    names = list(np.repeat(np.arange(8), 2))
    predicted = leave_one_out_domains(fit_mixture_law, tried, losses, groups=names)
    expected = fit_mixture_law(tried[2:], losses[2:]).losses(tried[:2])
    np.testing.assert_allclose(predicted[:2], expected)
    assert (rank_correlations(predicted, losses) > 0.8).all()


def test_rank_correlations_by_hand() -> None:
    """Spearman: 1 − 6 Σd² / (n (n² − 1)); an exchange of neighbors among four gives 0.8."""
    predicted = np.array([[1.0, 1, 1], [2, 2, 1], [3, 3, 1], [4, 4, 1]])
    actual = np.array([[1.0, 9, 1], [3, 8, 2], [2, 7, 3], [4, 6, 4]])
    np.testing.assert_allclose(rank_correlations(predicted, actual), [0.8, -1.0, np.nan])
    with pytest.raises(ValueError, match=r"of one shape, found \(4, 3\) and \(4, 2\)"):
        rank_correlations(predicted, actual[:, :2])


@pytest.mark.parametrize(
    ("tried", "losses", "message"),
    [
        (mixtures(3), np.ones((3, 1)), "at least 4 distinct mixtures, found 3"),
        (np.repeat(mixtures(2), 4, 0), np.ones((8, 1)), "at least 4 distinct mixtures, found 2"),
        (mixtures(5) * 2, np.ones((5, 1)), "sum to 1 in each mixture"),
        (mixtures(5), np.ones(5), r"losses of shape \[5 runs, domains\], found \(5,\)"),
        (mixtures(5), np.zeros((5, 1)), "positive finite losses"),
        (mixtures(5)[0], np.ones((3, 1)), r"shape \[runs, sources\], found \(3,\)"),
    ],
)
def test_errors(tried: np.ndarray, losses: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_mixture_law(tried, losses)
