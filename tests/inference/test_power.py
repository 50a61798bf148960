import math

import numpy as np
import pytest
from scipy import stats

from codepretrain.inference import power as module
from codepretrain.inference.crossed import difference
from codepretrain.inference.power import (
    Design,
    design_of,
    equivalence_power,
    guard_power,
    item_error,
    minimum_detectable_effect,
    power,
)
from tests.inference.designs import difference_design
from tests.inference.simulated import Scenario

DESIGN = difference_design(num_replicates=5, run_sd=0.4, item_error=0.2, item_freedom=200)


def test_a_design_without_items_has_the_power_of_the_t_test() -> None:
    """Paired replicates: exact, by the noncentral t distribution."""
    design = difference_design(
        num_replicates=6, run_sd=1.0, item_error=0.0, item_freedom=1e6, correlation=0.5
    )
    critical = stats.t.ppf(0.975, 5)
    noncentral = stats.nct(5, 2.0 * math.sqrt(6))
    exact = noncentral.sf(critical) + noncentral.cdf(-critical)
    assert power(design, 2.0) == pytest.approx(exact, abs=0.005)
    assert power(design, 0.0) == pytest.approx(0.05, abs=0.003)


def approximate_mde(design: Design, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Returns the minimum detectable effect by the formula at the top of `power.py`."""
    run, item, _ = design.variances
    freedoms = np.array(design.num_replicates) - 1.0
    of_runs = float(run.sum()) ** 2 / float(np.sum(run**2 / freedoms))
    squares = stats.t.ppf(1 - alpha / 2, [of_runs, design.item_freedom]) ** 2
    margin = math.sqrt(float(squares @ [run.sum(), item]))
    return margin + float(stats.t.ppf(power, of_runs)) * design.standard_error


def test_the_minimum_detectable_effect_inverts_the_power() -> None:
    effect = minimum_detectable_effect(DESIGN, power=0.9)
    assert power(DESIGN, effect) == pytest.approx(0.9, abs=1e-6)
    assert effect == pytest.approx(approximate_mde(DESIGN, power=0.9), rel=0.05)
    assert minimum_detectable_effect(DESIGN, alpha=0.01) > minimum_detectable_effect(DESIGN)


def test_no_number_of_seeds_gets_below_the_floor() -> None:
    many = difference_design(num_replicates=10_000, run_sd=0.4, item_error=0.2, item_freedom=10_000)
    assert minimum_detectable_effect(many) == pytest.approx(module.floor(0.2), rel=0.01)
    assert module.floor(0.2) == pytest.approx(2.80 * 0.2, rel=0.001)


def test_the_error_of_items_of_several_tasks() -> None:
    # √(0.5²/100 + 0.7²/50) / 2
    assert item_error([0.5, 0.7], [100, 50]) == pytest.approx(0.0555, abs=5e-5)
    with pytest.raises(ValueError, match="expected 2 positive numbers"):
        item_error([0.5, 0.7], [100, 0])


def test_equivalence_needs_a_margin_beyond_the_critical_value() -> None:
    assert equivalence_power(DESIGN, 0.2) < 0.05
    assert equivalence_power(DESIGN, 5.0) > 0.999
    # At the margin the test is of level 5%.
    assert equivalence_power(DESIGN, 5.0, effect=5.0) == pytest.approx(0.05, abs=0.01)


def test_a_guard_of_no_margin_has_the_level_of_its_test() -> None:
    assert guard_power(DESIGN, 0.0) == pytest.approx(0.05, abs=0.01)
    assert guard_power(DESIGN, 5.0) > 0.999


def test_a_design_from_an_estimate_has_its_spreads() -> None:
    scenario = Scenario(num_replicates=(8, 8), run_sd=(0.5,), num_clusters=400)
    rng = np.random.default_rng(0)
    found = [design_of(difference(*scenario.draw(rng)), 3) for _ in range(20)]
    assert np.mean([one.run_sd[0] for one in found]) == pytest.approx(0.5, rel=0.1)
    item = math.sqrt(2 * 0.3**2 / 400)
    assert np.mean([one.item_error for one in found]) == pytest.approx(item, rel=0.15)
    rest = math.sqrt((0.3**2 + 0.5**2) / 400)
    assert np.mean([one.rest_sd for one in found]) == pytest.approx(rest, rel=0.05)
    assert found[0].num_replicates == (3, 3)


def test_a_design_from_paired_replicates_is_paired() -> None:
    """Pairs have S - 1 degrees of freedom, not 2(S - 1)."""
    scenario = Scenario(
        num_replicates=(40, 40), run_sd=(0.5,), run_correlation=0.8, num_clusters=400
    )
    arms = scenario.draw(np.random.default_rng(0))
    found = design_of(difference(*arms, is_paired=True), 3)
    assert found.num_replicates == (3,)
    assert found.run_sd[0] == pytest.approx(0.5 * math.sqrt(2 * (1 - 0.8)), rel=0.25)
    assert found.rest_sd == pytest.approx(math.sqrt(2 * (0.3**2 + 0.5**2) / 400), rel=0.1)
    with pytest.raises(ValueError, match="of recipes"):
        design_of(difference(*arms, between="checkpoints"), 3)


def test_the_power_is_that_of_the_test() -> None:
    """A short version of tests/campaigns/test_statistics.py."""
    scenario = Scenario(effects=(0.35, 0.0))
    design = Design(
        num_replicates=(3, 3),
        run_sd=(0.1, 0.1),
        item_error=math.sqrt(2 * 0.3**2 / 100),
        item_freedom=99,
        rest_sd=math.sqrt((0.3**2 + 0.5**2) / 100),
    )
    rng = np.random.default_rng(0)
    found = np.mean([difference(*scenario.draw(rng)).p_value < 0.05 for _ in range(400)])
    assert found == pytest.approx(power(design, 0.35), abs=0.05)


def test_messages() -> None:
    with pytest.raises(ValueError, match="at least 2 in every arm"):
        difference_design(num_replicates=1, run_sd=1.0, item_error=1.0, item_freedom=9)
    with pytest.raises(ValueError, match="expected one for each of 2 arms, found 1"):
        Design(num_replicates=(2, 2), run_sd=(1.0,), item_error=1.0, item_freedom=9)
