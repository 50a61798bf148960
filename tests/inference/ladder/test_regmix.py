"""The mixture law on the published runs of RegMix (Liu et al. 2407.01492).

512 proxies of 1M parameters and 64 models of 1B, 17 sources, 13 domains: the folder `regmix` holds
the tables of the repository sail-sg/regmix (commit b004d3a, `data/train_*_1m.csv` and
`data/test_*_1B.csv`; MIT, see its LICENSE), rounded to four decimals. Laws are fit to the losses of
proxies, and rank the mixtures by the losses of the 1B models.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codepretrain.inference.ladder.mixture_law import (
    Law,
    fit_mixture_law,
    leave_one_out_domains,
    rank_correlations,
)
from tests.inference.ladder.linear_law import fit_linear_law

DOMAINS = {"Pile-CC": 8, "GitHub": 5}  # columns of the losses


def table(name: str) -> np.ndarray:
    path = Path(__file__).with_name("regmix") / f"{name}.csv"
    return np.genfromtxt(path, delimiter=",", skip_header=1)


def correlations(fit: Callable[[np.ndarray, np.ndarray], Law], num_proxies: int) -> np.ndarray:
    """Returns [O]: correlations at 1B, averaged over 25 random choices of the proxies."""
    mixtures, losses = table("proxy_mixtures"), table("proxy_losses")
    targets, actual = table("target_mixtures"), table("target_losses")
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(25 if num_proxies < len(losses) else 1):
        chosen = rng.choice(len(losses), num_proxies, replace=False)
        law = fit(mixtures[chosen], losses[chosen])
        draws.append(rank_correlations(law.losses(targets), actual))
    return np.mean(draws, axis=0)


@pytest.mark.parametrize(
    ("fit", "num_proxies", "pile_cc", "github"),
    [
        (fit_mixture_law, 32, 0.96, 0.90),
        (fit_mixture_law, 512, 0.99, 0.97),
        (fit_linear_law, 512, 0.88, 0.66),
    ],
)
def test_rank_correlations_at_1b(
    fit: Callable[[np.ndarray, np.ndarray], Law], num_proxies: int, pile_cc: float, github: float
) -> None:
    found = correlations(fit, num_proxies)
    print(
        f"\n{fit.__name__}, {num_proxies} proxies: "
        + ", ".join(f"{name} {found[column]:.3f}" for name, column in DOMAINS.items())
        + f", mean of 13 domains {found.mean():.3f}"
    )
    assert found[DOMAINS["Pile-CC"]] == pytest.approx(pile_cc, abs=0.02)
    assert found[DOMAINS["GitHub"]] == pytest.approx(github, abs=0.02)


def test_left_out_proxies_are_ranked() -> None:
    mixtures, losses = table("proxy_mixtures")[:64], table("proxy_losses")[:64]
    law, line = (
        rank_correlations(leave_one_out_domains(fit, mixtures, losses), losses).mean()
        for fit in (fit_mixture_law, fit_linear_law)
    )
    print(f"\n64 proxies, leave one out, mean of 13 domains: law {law:.3f}, line {line:.3f}")
    assert law > line
