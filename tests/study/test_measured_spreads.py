"""What runs say of a contrast's spread: score files whose effects are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.crossed import contrast
from codepretrain.inference.power import design_of
from codepretrain.inference.shared_runs import groups_of
from codepretrain.report.collect import collect
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.study.contrast_design import design, layout
from codepretrain.study.measured_spreads import run_variance, spread_of, spread_of_recipes
from codepretrain.study.spreads import Known, Spread, filled
from tests.inference.simulated_trees import FACTORIAL, Tree, main_effect
from tests.report.replicated import LOSS, LOSS_METRIC, replicated_study

HELPS = ContrastConfig(
    metric=f"{LOSS}/{LOSS_METRIC}", direction="lower", variants=("coded", "plain")
)
PLAIN, CODED = (3.0, 3.1, 2.9, 3.05), (2.5, 2.55, 2.4, 2.6)


def decided(
    root: Path, *, plain: int, coded: int, contrast: ContrastConfig = HELPS
) -> ContrastResult:
    study = replicated_study(root, {"plain": PLAIN[:plain], "coded": CODED[:coded]})
    problems: list[str] = []
    results = collect(replace(study, contrasts={"helps": contrast}))
    [found] = decide_contrasts(results, None, problems)
    assert problems == []
    return found


def test_between_recipes_it_is_the_design_of_the_estimate(tmp_path: Path) -> None:
    found = decided(tmp_path, plain=4, coded=4)
    assert found.estimate is not None
    design, spread = design_of(found.estimate, 3), spread_of(found)
    assert spread is not None
    assert spread.run == known(design.run_sd[0], ", pooled, without run × item")
    assert spread.item == known(design.item_error)
    assert (spread.rest_sd, spread.num_items) == (pytest.approx(design.rest_sd), 80)
    assert spread.correlation is None
    assert 0.03 < spread.run.value < 0.15, "the planted deviations are about 0.08"


def known(value: float, how: str = "") -> Known:
    close: Any = pytest.approx(value)
    return Known(close, f"coded 4, plain 4 finished runs{how}", False)


def test_paired_replicates_show_their_correlation(tmp_path: Path) -> None:
    """With it the design is that of the estimate: replicates k of PLAIN and CODED are alike."""
    paired = replace(HELPS, is_paired=True)
    found = decided(tmp_path, plain=4, coded=4, contrast=paired)
    spread = spread_of(found)
    assert found.estimate is not None
    assert spread is not None
    assert spread.run is not None
    assert spread.correlation is not None
    assert 0.7 < spread.correlation.value < 1
    assert 0.05 < spread.run.value < 0.12, "of one run, not of a pair"
    expected = design_of(found.estimate, 3)
    paths = [arm.ancestors[0] for arm in found.arms]
    planned = design(layout(paired, paths, [0, 0]), spread, [3, 3])
    assert planned.standard_error == pytest.approx(expected.standard_error)
    assert planned.item_error == pytest.approx(expected.item_error)


def test_runs_of_one_trunk_are_not_independent() -> None:
    """Unbiased for a single run, whatever the number of runs of each trunk."""
    rng = np.random.default_rng(0)
    trunks = ["a", "a", "a", "b", "c", "c"]
    values = [
        rng.normal(0, 1.0, 3)[[0, 0, 0, 1, 2, 2]] + rng.normal(0, 0.5, 6) for _ in range(8000)
    ]
    found = [run_variance([(of, trunks)]) for of in values]
    assert np.mean([one or 0.0 for one in found]) == pytest.approx(1.25, rel=0.04)
    pooled = np.mean([np.var(of, ddof=1) for of in values])
    assert pooled < 1.1, "runs pooled as if they were independent"


def test_runs_of_a_single_trunk_say_nothing_of_recipes() -> None:
    runs = np.array([3.0, 3.1, 2.9])
    assert run_variance([(runs, ["a", "a", "a"])]) is None
    others = np.array([2.0, 2.2])
    assert run_variance([(runs, ["a", "a", "a"]), (others, ["b", "c"])]) == pytest.approx(0.02)


@pytest.mark.parametrize("correlation", [0.2, 0.8])
def test_arms_of_shared_trunks_show_the_correlation_of_their_runs(correlation: float) -> None:
    """Simulated: with many replicates it is the share of the variance that the trunks decide."""
    tree = Tree(
        paths=FACTORIAL,
        shares=(correlation, 0, 1 - correlation),
        num_replicates=400,
        item_sd=0.1,
        num_items=40,
    )
    weights = main_effect(0)
    ancestors = [tree.ancestors(arm) for arm in weights]
    groups = groups_of(ancestors)
    scores = tree.draw(np.random.default_rng(1), {})
    estimate = contrast(scores, list(weights.values()), groups=groups)
    config = replace(HELPS, variants=(), weights=weights)
    of = layout(config, [arm[0] for arm in ancestors], groups)
    values = [(arm.metrics, [f"{k}" for k in range(400)]) for arm in scores]
    spread = spread_of_recipes(estimate, of, run_variance(values), source="simulated")
    assert spread is not None
    assert spread.run is not None
    assert spread.correlation is not None
    assert spread.run.value == pytest.approx(tree.run_sd, rel=0.1)
    assert spread.correlation.value == pytest.approx(correlation, abs=0.1)


def test_one_arm_with_replicates_shows_the_spread_between_runs(tmp_path: Path) -> None:
    found = decided(tmp_path, plain=3, coded=1)
    spread = spread_of(found)
    assert found.estimate is None
    assert spread is not None
    assert spread.run is not None
    values = next(arm.values for arm in found.arms if arm.variant == "plain")
    assert spread.run.value == pytest.approx(np.std(values, ddof=1))
    assert spread.item is not None
    assert 0 < spread.item.value < 0.2


def test_two_checkpoints_show_the_items_alone(tmp_path: Path) -> None:
    spread = spread_of(decided(tmp_path, plain=1, coded=1))
    assert spread is not None
    assert spread.run is None
    assert spread.item is not None
    assumed = Spread(
        run=Known(0.05, "a table", True),
        item=None,
        item_freedom=1e9,
        rest_sd=0.0,
        num_items=5,
    )
    both = filled(spread, assumed)
    assert both.run == Known(0.05, "a table", True)
    assert both.item == spread.item
    assert filled(None, assumed) == assumed


def test_arms_that_were_not_trained(tmp_path: Path) -> None:
    missing = replace(HELPS, variants=("coded", "plain"), metric=f"{LOSS}/source/text/x")
    assert spread_of(decided(tmp_path, plain=1, coded=1, contrast=missing)) is None
