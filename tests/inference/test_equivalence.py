import math

import pytest
from scipy import stats

from codepretrain.inference.equivalence import equivalence, guard_p_values
from codepretrain.inference.estimate import Components, Estimate, student_estimate
from codepretrain.inference.variance import of_items


def estimate(value: float, error: float, freedom: float = 10.0) -> Estimate:
    return student_estimate(
        value,
        of_items(error**2, freedom),
        components=Components(seed=math.nan, item=math.nan, residual=math.nan),
        method="",
        num_replicates=(3, 3),
        num_items=9,
        num_clusters=9,
    )


def test_equivalence_is_a_90_percent_interval_within_the_margin() -> None:
    half = stats.t.ppf(0.95, 10) * 0.1
    found = equivalence(estimate(0.05, 0.1), 0.05 + half + 1e-9)
    assert found.verdict == "equivalent"
    assert found.p_value == pytest.approx(0.05)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.05 - half, 0.05 + half))
    assert equivalence(estimate(0.05, 0.1), 0.05 + half - 1e-9).verdict == "inconclusive"
    assert equivalence(estimate(-0.05, 0.1), 0.05 + half - 1e-9).verdict == "inconclusive"


def test_an_effect_within_the_margin_is_equivalent_even_if_it_is_not_0() -> None:
    one = estimate(0.05, 0.01)
    assert one.p_value < 0.05
    assert equivalence(one, 0.1).verdict == "equivalent"


def test_an_unknown_spread_is_inconclusive() -> None:
    assert equivalence(estimate(0.0, 0.0), 1.0).verdict == "inconclusive"
    with pytest.raises(ValueError, match="margin: expected a positive number, found 0"):
        equivalence(estimate(0.0, 1.0), 0)


def test_one_sided_tests() -> None:
    one = estimate(0.2, 0.1)
    assert one.one_sided_p("higher") == pytest.approx(stats.t.sf(2, 10))
    assert one.one_sided_p("lower") == pytest.approx(stats.t.cdf(2, 10))
    assert one.one_sided_p("higher") == pytest.approx(one.p_value / 2)
    with pytest.raises(ValueError, match="expected 'higher' or 'lower', found 'better'"):
        one.one_sided_p("better")


def test_a_guard_is_one_side_of_equivalence() -> None:
    one = estimate(0.05, 0.1)
    kept, exceeded = guard_p_values(one, 0.2, side="higher")
    assert kept == pytest.approx(stats.t.sf(1.5, 10))
    assert exceeded == pytest.approx(1 - kept)
    mirrored = guard_p_values(estimate(-0.05, 0.1), 0.2, side="lower")
    assert mirrored == pytest.approx((kept, exceeded))
    assert kept <= equivalence(one, 0.2).p_value
