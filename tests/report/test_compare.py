from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.evals.items import Items, items_path, write_items
from codepretrain.report.collect import collect
from codepretrain.report.compare import (
    MetricRow,
    compare_pairs,
    compare_to_baseline,
    headline_rows,
    metric_interval,
)
from codepretrain.report.statistics import holm, wilson_interval

CODE_LOSS = MetricRow("validation_loss", "source/code/nats_per_token", "nats/token")
PROSE = MetricRow("prose_continuation", "accuracy", "fraction")


def test_every_variant_has_every_metric_at_the_end_of_its_last_phase(comparison):
    assert len(comparison.cells) == len(comparison.rows) * 5
    cell = comparison.cells[CODE_LOSS, "cooldown_with_code"]
    assert (cell.run, cell.step, cell.metric.count) == ("cooldown_code", 60, 120)
    assert comparison.problems == ()


def test_differences_are_paired_and_have_a_direction(comparison):
    better = comparison.cells[CODE_LOSS, "code_to_text"]
    assert better.difference.is_paired
    assert better.difference.method == "paired bootstrap"
    assert better.difference.value < 0
    assert better.outcome == "better"
    prose = comparison.cells[PROSE, "code_to_text"]
    assert prose.difference.method == "matched pairs, Agresti–Min"
    assert prose.difference.value < 0
    assert prose.outcome == "worse"
    assert comparison.cells[PROSE, "cooldown_text"].outcome == "not distinguishable"
    assert comparison.cells[PROSE, "text_only"].difference is None


def test_the_headline_has_one_measure_of_each_finding(comparison):
    assert [row.name for row in comparison.headline_rows] == [
        "source/text_reference/nats_per_token",
        "source/text_docstrings/nats_per_token",
        "source/code/nats_per_token",
        "all/nats_per_token",
        "accuracy",
        "accuracy",
        "accuracy",
    ]
    bits = MetricRow("loss", "source/code/bits_per_byte", "bits/byte")
    assert headline_rows([bits]) == (bits,)  # all there is


def test_shares_are_shown_but_never_better_or_worse(comparison):
    row = MetricRow("prose_continuation", "predicted/0", "share")
    assert row in comparison.rows
    assert all(comparison.cells[row, v].difference is None for v in comparison.variants)


def test_holm_is_taken_over_the_headline_and_over_the_rest_apart(comparison):
    cells = comparison.headline_differences
    assert len(cells) == 7 * 4
    expected = holm([cell.difference.p_value for cell in cells])
    assert sorted(cell.adjusted_p for cell in cells) == pytest.approx(sorted(expected))
    bits = MetricRow("validation_loss", "source/code/bits_per_byte", "bits/byte")
    assert comparison.cells[bits, "code_to_text"].adjusted_p is not None


def test_intervals_of_proportions_are_wilsons(comparison):
    metric = comparison.cells[PROSE, "text_only"].metric
    assert metric_interval(PROSE, metric) == wilson_interval(metric.value, 200)


def test_what_is_not_finished_is_not_compared(few_resamples, unfinished_study):
    comparison = compare_to_baseline(collect(unfinished_study))
    assert (CODE_LOSS, "cooldown_text") not in comparison.cells
    assert (CODE_LOSS, "cooldown_with_code") not in comparison.cells
    assert comparison.cells[CODE_LOSS, "code_to_text"].outcome == "better"


def test_without_item_scores_the_difference_is_unpaired_and_wider(
    few_resamples, copied_study, comparison
):
    run = Path(copied_study.phases["text_pretrain"].run_dir)
    items_path(run, "validation_loss", 400).unlink()
    cell = compare_to_baseline(collect(copied_study)).cells[CODE_LOSS, "code_to_text"]
    paired = comparison.cells[CODE_LOSS, "code_to_text"]
    assert not cell.difference.is_paired
    assert cell.difference.value == pytest.approx(paired.difference.value)
    wide, narrow = cell.difference.interval, paired.difference.interval
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize("count", [200, 150])
def test_items_of_another_evaluation_are_refused_by_name(copied_study, few_resamples, count):
    run = Path(copied_study.phases["code_continue"].run_dir)
    scores = {"accuracy": np.ones(count), "accuracy_per_byte": np.ones(count)}
    write_items(run, "prose_continuation", 200, Items(scores, []))
    comparison = compare_to_baseline(collect(copied_study))
    cell = comparison.cells[PROSE, "code_to_text"]
    assert not cell.difference.is_paired
    expected = "the items on disk are not those" if count == 200 else "cannot pair 150 items"
    assert any(expected in problem for problem in comparison.problems)


def test_a_variant_that_ends_in_the_baselines_run_has_no_difference_to_it(few_resamples, study):
    twin = replace(study, variants={**study.variants, "twin": ("text_pretrain",)})
    comparison = compare_to_baseline(collect(twin))
    assert comparison.cells[CODE_LOSS, "twin"].difference is None


def test_without_a_baseline_nothing_is_compared(study):
    results = collect(replace(study, baseline=None))
    assert compare_to_baseline(results).headline_differences == []
    assert compare_pairs(results) == []


def test_pairs_beside_the_baseline(few_resamples, study):
    pairs = compare_pairs(collect(study))
    assert [pair.variants for pair in pairs][-1] == ("cooldown_text", "cooldown_with_code")
    assert len(pairs) == 6
    cell = pairs[-1].cells[CODE_LOSS, "cooldown_with_code"]
    reverse = pairs[-1].cells[CODE_LOSS, "cooldown_text"].metric.value
    assert cell.difference.value == pytest.approx(cell.metric.value - reverse)


def test_of_many_pairs_only_those_with_a_shared_trunk(few_resamples, study, monkeypatch):
    monkeypatch.setattr("codepretrain.report.compare.MAX_PAIRS", 5)
    pairs = [pair.variants for pair in compare_pairs(collect(study))]
    assert pairs == [
        ("balanced_to_text", "cooldown_text"),
        ("balanced_to_text", "cooldown_with_code"),
        ("cooldown_text", "cooldown_with_code"),
    ]
