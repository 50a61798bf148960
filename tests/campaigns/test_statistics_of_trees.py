"""Power as planned for variants that share runs, held to simulation: `make test-statistics`."""

from dataclasses import replace

import pytest

from tests.inference.simulated_trees import main_effect
from tests.study.test_contrast_design import TRUNKS, simulated_power

pytestmark = pytest.mark.campaign

STAGES = {"pretraining": 0, "continued": 1, "cooldown": 2}


@pytest.mark.parametrize("num_replicates", [3, 5])
@pytest.mark.parametrize("name", STAGES)
def test_power_is_what_was_planned(name: str, num_replicates: int) -> None:
    """Where the variance arises in the stage whose effect is tested; 1,500 draws."""
    stage = STAGES[name]
    shares = tuple(float(place == stage) for place in range(3))
    tree = replace(TRUNKS, shares=shares, num_replicates=num_replicates)
    found = simulated_power(tree, main_effect(stage), draws=1500)
    print(f"\n| {name} | {num_replicates} | {found:.1%} |", flush=True)
    assert found == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("num_replicates", [3, 5])
def test_power_with_a_correlation(num_replicates: int) -> None:
    tree = replace(TRUNKS, shares=(0.5, 0, 0.5), item_sd=0.0, num_replicates=num_replicates)
    found = simulated_power(tree, main_effect(0), correlation=0.5, draws=1500)
    print(f"\n| run_correlation=0.5 | {num_replicates} | {found:.1%} |", flush=True)
    assert found == pytest.approx(0.8, abs=0.05)
