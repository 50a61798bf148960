"""Eight runs of one recipe, split at random into two arms 20 times: few differences are found.

    make test-same-recipe

Real training: a phase of the demo, with 8 seeds of initialization and data order. A split has a
false finding if a contrast of it is confirmed after Holm's correction over its metrics.
"""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from codepretrain.config.load import load_study
from codepretrain.inference.effects import run_spread
from codepretrain.report.arms import arm_scores, find_arm
from codepretrain.report.collect import ReportInput, collect
from codepretrain.report.compare import compare_to_baseline, headline_rows, metric_rows
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.report.evaluations import read_scores
from codepretrain.study.report_input import report_input
from codepretrain.study.workspace import Workspace
from tests.conftest import ROOT
from tests.report.replicated import split_at_random

pytestmark = pytest.mark.campaign

STUDY = ROOT / "tests" / "studies" / "same_recipe.py"
NUM_SPLITS = 20
MAX_FALSE = 2


def test_splits_of_one_recipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codepretrain", "run", "--config", str(STUDY)]
    subprocess.run([*command, "--workdir", str(tmp_path)], check=True, cwd=ROOT)
    workspace = Workspace(load_study(STUDY), epath.Path(tmp_path))
    study = report_input(workspace, command_line="a campaign")
    results = collect(study)
    rows = headline_rows(metric_rows(results))
    for row in rows:
        arm = find_arm(results, "recipe", row)
        assert arm is not None
        scores = arm_scores(arm, read_scores)
        assert scores is not None
        spread = run_spread([scores])
        print(
            f"{row.evaluator}/{row.name}: mean {np.mean(arm.values):.4f} {row.unit}, "
            f"σ_run {spread.value:.4f} ({spread.interval.low:.4f} – {spread.interval.high:.4f})"
        )
    metrics = [f"{row.evaluator}/{row.name}" for row in rows]
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(NUM_SPLITS):
        split = split_at_random(study, "recipe", metrics, rng)
        decided = decide_contrasts(collect(split), None, [])
        assert {one.between.text for one in decided} == {"recipes, 4 replicates"}
        false += any(one.decision == "confirmed" for one in decided)
    print(f"false findings in {false} of {NUM_SPLITS} splits")
    print(f"single runs: {_of_single_runs(study)}")
    assert false <= MAX_FALSE


def _of_single_runs(study: ReportInput) -> str:
    """Returns how many differences of two single runs exclude zero over items alone."""
    found, total = 0, 0
    for first, second in itertools.combinations(study.phases, 2):
        variants = {name: (name,) for name in (first, second)}
        pair = replace(study, variants=variants, replicates={}, baseline=first)
        cells = compare_to_baseline(collect(pair)).headline_differences
        found += sum(cell.outcome != "not distinguishable" for cell in cells)
        total += len(cells)
    return f"{found} of {total} differences are distinguishable over items alone"
