import math

import numpy as np
import pytest

from codepretrain.inference.crossed import difference
from codepretrain.inference.scores import ArmScores
from tests.inference.multibootstrap import multibootstrap
from tests.inference.simulated import Scenario


@pytest.mark.parametrize("run_sd", [0.0, 0.5], ids=["items", "runs"])
def test_it_agrees_with_the_crossed_estimate(run_sd: float) -> None:
    scenario = Scenario(
        num_replicates=(12, 12), num_clusters=150, run_sd=(run_sd,), effects=(0.2, 0.0)
    )
    arms = scenario.draw(np.random.default_rng(0))
    crossed, found = difference(*arms), multibootstrap(arms, [1, -1])
    assert found.value == crossed.value
    width = crossed.interval.high - crossed.interval.low
    assert found.interval.high - found.interval.low == pytest.approx(width, rel=0.12)
    assert found.p_value == pytest.approx(crossed.p_value, abs=0.05)


def test_it_is_repeatable_and_needs_five_replicates() -> None:
    arms = Scenario(num_replicates=(5, 5)).draw(np.random.default_rng(0))
    first = multibootstrap(arms, [1, -1], num_resamples=300)
    assert first == multibootstrap(arms, [1, -1], num_resamples=300)
    assert first.p_value >= 1 / 301
    few = Scenario(num_replicates=(5, 4)).draw(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"at least 5 replicates in every arm, found \(5, 4\)"):
        multibootstrap(few, [1, -1])


def test_unequal_clusters_and_pairs() -> None:
    scenario = Scenario(
        kind="binary", num_replicates=(8, 8), are_unequal=True, run_sd=(0.6,), run_correlation=0.9
    )
    arms = scenario.draw(np.random.default_rng(0))
    paired = multibootstrap(arms, [1, -1], is_paired=True, num_resamples=500)
    apart = multibootstrap(arms, [1, -1], num_resamples=500)
    assert paired.standard_error < apart.standard_error
    assert paired.interval.high - paired.interval.low < apart.interval.high - apart.interval.low


@pytest.mark.parametrize("shift", [0.0, 0.5], ids=["equal", "different"])
def test_an_unknown_spread_is_no_finding(shift: float) -> None:
    """Every replicate and item has the same value; or there is a single cluster of items."""
    ids = [f"{place}" for place in range(6)]
    ours, baseline = (
        ArmScores(ids=ids, clusters=ids, values=np.full((5, 6), value)) for value in (3 + shift, 3)
    )
    found = multibootstrap([ours, baseline], [1, -1], num_resamples=100)
    assert found.p_value == 1.0
    assert (found.interval.low, found.interval.high) == (-math.inf, math.inf)
    draws = np.random.default_rng(0).normal(size=(2, 5, 6))
    arms = [ArmScores(ids=ids, clusters=["one"] * 6, values=of + shift) for of in draws]
    assert multibootstrap(arms, [1, -1], num_resamples=100).p_value == 1.0
