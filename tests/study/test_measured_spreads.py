"""What runs say of a contrast's spread: score files whose effects are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.power import design_of
from codepretrain.report.collect import collect
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.study.measured_spreads import spread_of
from codepretrain.study.spreads import Known, Spread, filled
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
    assert spread.run == Known(design.run_sd[0], "coded 4, plain 4 finished runs", False)
    assert spread.item == Known(design.item_error, "coded 4, plain 4 finished runs", False)
    assert (spread.rest_sd, spread.num_items) == (design.rest_sd, 80)
    assert 0.03 < spread.run.value < 0.15, "the planted deviations are about 0.08"


def test_paired_replicates_have_the_spread_of_one_run(tmp_path: Path) -> None:
    paired = replace(HELPS, is_paired=True)
    found = decided(tmp_path, plain=4, coded=4, contrast=paired)
    spread = spread_of(found)
    assert found.estimate is not None
    assert spread is not None
    assert spread.run is not None
    assert spread.run.value == pytest.approx(design_of(found.estimate, 2).run_sd[0] / 2**0.5)


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
