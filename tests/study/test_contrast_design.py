"""The power of a plan against that of the test that the report makes, on simulated trees."""

import math
from dataclasses import replace

import numpy as np
import pytest

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.crossed import contrast
from codepretrain.inference.power import minimum_detectable_effect
from codepretrain.inference.shared_runs import groups_of
from codepretrain.study.contrast_design import design, planned_layout
from codepretrain.study.replication import Replication
from codepretrain.study.spreads import Known, Spread
from tests.inference.simulated_trees import FACTORIAL, Tree, main_effect

TRUNKS = Tree(paths=FACTORIAL, shares=(1, 0, 0), num_replicates=3)
PRETRAINING = main_effect(0)


def spread_of(tree: Tree, correlation: float | None = None) -> Spread:
    return Spread(
        run=Known(tree.run_sd, "", True),
        item=Known(tree.item_sd * math.sqrt(2 / tree.num_items), "", True),
        item_freedom=tree.num_items - 1,
        rest_sd=tree.noise_sd / math.sqrt(tree.num_items),
        num_items=tree.num_items,
        correlation=None if correlation is None else Known(correlation, "", True),
    )


def simulated_power(
    tree: Tree, weights: dict[str, float], *, correlation: float | None = None, draws: int = 400
) -> float:
    """Returns how often the report finds the effect that the plan finds with probability 0.8."""
    config = ContrastConfig(metric="m", direction="different", weights=weights)
    ancestors = {arm: tree.ancestors(arm) for arm in weights}
    runs = Replication(dict.fromkeys(weights, tree.num_replicates), False, ancestors)
    planned = design(
        planned_layout(config, runs), spread_of(tree, correlation), list(runs.counts.values())
    )
    size = minimum_detectable_effect(planned, power=0.8)
    squares = sum(weight**2 for weight in weights.values())
    effects = {arm: size * weight / squares for arm, weight in weights.items()}
    groups = groups_of(list(ancestors.values()))
    rng = np.random.default_rng(tree.num_replicates)
    found = [
        contrast(tree.draw(rng, effects), list(weights.values()), groups=groups).p_value < 0.05
        for _ in range(draws)
    ]
    return float(np.mean(found))


@pytest.mark.parametrize("num_replicates", [3, 5])
def test_the_power_of_a_factorial_whose_trunks_decide(num_replicates: int) -> None:
    """It was 0.25 of a plan that took the arms as independent (LOG.md)."""
    tree = replace(TRUNKS, num_replicates=num_replicates)
    assert simulated_power(tree, PRETRAINING) == pytest.approx(0.8, abs=0.05)


def test_the_power_with_an_assumed_correlation() -> None:
    tree = replace(TRUNKS, shares=(0.5, 0, 0.5), item_sd=0.0)
    assert simulated_power(tree, PRETRAINING, correlation=0.5) == pytest.approx(0.8, abs=0.05)


def test_by_default_no_power_is_promised_that_is_not_there() -> None:
    for shares in ((0.5, 0.3, 0.2), (0, 0, 1)):
        tree = replace(TRUNKS, shares=shares, num_replicates=5)
        for stage in range(3):
            assert simulated_power(tree, main_effect(stage), draws=200) > 0.75
