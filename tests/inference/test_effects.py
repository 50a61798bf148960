import math

import numpy as np
import pytest
from scipy import stats

from codepretrain.inference.crossed import difference
from codepretrain.inference.effects import (
    chance_centered,
    relative_difference,
    run_spread,
    token_equivalent,
)
from codepretrain.inference.interval import Interval
from codepretrain.inference.scores import ArmScores
from tests.inference.simulated import Scenario


def arm(values) -> ArmScores:
    ids = [f"{place}" for place in range(np.shape(values)[1])]
    return ArmScores(ids=ids, clusters=ids, values=np.asarray(values, float))


def test_a_relative_difference_is_one_of_logarithms() -> None:
    ours, baseline = np.array([3.1, 2.2, 2.9]), np.array([1.0, 1.9, 1.4])
    found = relative_difference(*(arm(np.tile(of[:, None], 30)) for of in (ours, baseline)))
    ratio = ours.mean() / baseline.mean()
    assert found.value == pytest.approx(ratio - 1)
    parts = [of.var(ddof=1) / 3 / of.mean() ** 2 for of in (ours, baseline)]
    freedom = 2 * sum(parts) ** 2 / sum(part**2 for part in parts)
    squares = [1 / of.mean() ** 2 for of in (ours, baseline)]
    freedom = min(freedom, math.sqrt(freedom * 2 * sum(squares) ** 2 / sum(x**2 for x in squares)))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert found.interval.low == pytest.approx(ratio * math.exp(-half) - 1)
    assert found.interval.high == pytest.approx(ratio * math.exp(half) - 1)
    with pytest.raises(ValueError, match="positive means"):
        relative_difference(arm(-np.ones((2, 3))), arm(np.ones((2, 3))))


def test_the_run_spread_is_pooled() -> None:
    arms = [arm(np.tile(np.array(of)[:, None], 5)) for of in ([1.0, 2, 3], [10.0, 14], [7.0])]
    assert run_spread(arms).value == pytest.approx(math.sqrt((2 + 8) / 3))
    low, high = 10 / stats.chi2.ppf([0.975, 0.025], 3)
    interval = run_spread(arms).interval
    assert (interval.low, interval.high) == pytest.approx((math.sqrt(low), math.sqrt(high)))
    with pytest.raises(ValueError, match="at least 2 replicates, found none"):
        run_spread(arms[2:])


def test_chance_centering_is_linear() -> None:
    scenario = Scenario(kind="binary", effects=(0.5, 0.0), are_unequal=True)
    arms = scenario.draw(np.random.default_rng(0))
    raw, centered = difference(*arms), difference(*(chance_centered(one, 0.25) for one in arms))
    np.testing.assert_allclose(
        chance_centered(arms[0], 0.25).metrics, (arms[0].metrics - 0.25) / 0.75
    )
    assert centered.value == pytest.approx(raw.value / 0.75)
    assert centered.p_value == pytest.approx(raw.p_value)
    right = chance_centered(arm(np.ones((3, 98))), 0.25)
    assert difference(right, right).standard_error == pytest.approx(1 / 0.75 / 100)
    with pytest.raises(ValueError, match="found 1"):
        chance_centered(arms[0], 1)


def test_token_equivalents_invert_the_baselines_curve() -> None:
    """Loss falls by 0.1 for each doubling."""
    tokens, loss = [1e9, 2e9, 4e9, 8e9], [3.3, 3.2, 3.1, 3.0]
    found = token_equivalent(tokens, loss, 0.05, Interval(-0.01, 0.11), is_higher_better=False)
    assert found.tokens == pytest.approx(8e9 / math.sqrt(2))
    assert found.ratio == pytest.approx(2**-0.5)
    assert found.interval.low == pytest.approx(2**-1.1)
    assert found.interval.high == math.inf
    below = token_equivalent(tokens, loss, 0.4, Interval(0.3, 0.5), is_higher_better=False)
    assert below.ratio == 0
    assert below.interval.high == pytest.approx(1 / 8)
    same = token_equivalent(tokens, loss, 0.0, Interval(0.0, 0.0), is_higher_better=False)
    assert same.ratio == 1


def test_a_noisy_curve_is_made_monotone() -> None:
    found = token_equivalent([1, 2, 4, 8], [0.3, 0.5, 0.4, 0.6], -0.15, Interval(-0.2, -0.1))
    assert found.ratio == pytest.approx(1 / 4)  # the first place of the flat stretch at 0.45
    with pytest.raises(ValueError, match="at least 2 increasing numbers"):
        token_equivalent([2, 1], [0.1, 0.2], 0.0, Interval(0, 0))
