from dataclasses import replace

import numpy as np
import pytest

from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.noise_rows import metric_noise, noise_rows
from tests.report.replicated import LOSS, replicated_study

LEVELS = {"plain": (3.0, 3.1, 2.9), "coded": (2.5, 2.6), "alone": (2.0,)}


def test_the_spread_between_replicates_is_pooled_over_variants(tmp_path):
    results = collect(replicated_study(tmp_path, LEVELS))
    comparison = compare_to_baseline(results)
    found = {one.row.evaluator: one for one in metric_noise(results, comparison)}
    loss = found[LOSS]
    cells = {v: cell for (row, v), cell in comparison.cells.items() if row == loss.row}
    squares = 2 * np.var(cells["plain"].values, ddof=1) + np.var(cells["coded"].values, ddof=1)
    assert loss.run_sd is not None
    assert loss.run_sd.value == pytest.approx(np.sqrt(squares / 3))
    assert (loss.num_runs, loss.checkpoint_sd) == (5, None)


def test_runs_that_several_variants_end_in_count_once(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    twin = {f"{name}-twin": study.phases[name] for (name,) in study.replicates["coded"]}
    twice = replace(
        study,
        phases={**study.phases, **twin},
        variants={**study.variants, "twin": ("coded-twin",)},
        replicates={**study.replicates, "twin": tuple((name,) for name in twin)},
    )
    once, again = (
        metric_noise(results, compare_to_baseline(results))
        for results in (collect(study), collect(twice))
    )
    assert again == once


def test_the_noise_of_checkpoints_is_that_of_the_last_five_evaluations(study):
    def of(*names):
        results = collect(replace(study, variants={name: study.variants[name] for name in names}))
        comparison = compare_to_baseline(results)
        (row,) = [r for r in comparison.headline_rows if r.evaluator == "prose_continuation"]
        found = {one.row: one for one in metric_noise(results, comparison)}
        return results, found.get(row), noise_rows(results, comparison)

    results, noise, rows = of("text_only", "code_to_text")
    curves = [
        [e.metrics["accuracy"].value for e in results.runs[name].evaluations if is_prose(e)][-5:]
        for name in ("text_pretrain", "code_continue")
    ]
    pooled = np.sqrt(np.mean([np.var(curve, ddof=1) for curve in curves]))
    assert noise is not None
    assert noise.checkpoint_sd == pytest.approx(pooled)
    gap = abs(np.mean(curves[0]) - np.mean(curves[1]))
    assert noise.signal_to_noise == pytest.approx(gap / pooled)
    assert noise.run_sd is None
    assert rows[-1]["run_sd"] == "–"
    # A cooldown of 60 steps has four evaluations.
    assert of("text_only", "cooldown_text")[1] is None


def is_prose(evaluation):
    return evaluation.evaluator == "prose_continuation"
