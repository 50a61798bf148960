import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.evals.estimate import Estimate
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import (
    ItemScores,
    read_item_scores,
    write_item_scores,
)
from codepretrain.evals.multiple_choice import ACCURACY, PREDICTED
from codepretrain.evals.validation_loss import BITS_PER_BYTE, NATS_PER_TOKEN
from codepretrain.files import json_values
from codepretrain.inference.families import holm
from codepretrain.metrics.item_files import item_file
from codepretrain.report.cells import MetricRow, metric_interval
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_pairs, compare_to_baseline, headline_rows
from codepretrain.report.statistics import wilson_interval
from tests.fixtures.item_records import drop_marks

ANY = Estimate(0.5, 0.1, 9)
CODE_LOSS = MetricRow.of(
    "validation_loss", "source/code/nats_per_token", NATS_PER_TOKEN.metric(ANY)
)

CODE_BITS = MetricRow.of("validation_loss", "source/code/bits_per_byte", BITS_PER_BYTE.metric(ANY))
PROSE = MetricRow.of("prose_continuation", "accuracy", ACCURACY.metric(ANY))


def digest_at_end(study, phase, evaluator):
    return collect(study).runs[phase].at_end(evaluator).digest


def kept_at_end(study, phase, evaluator):
    """Returns the file of the item scores at the end of a phase."""
    plan = study.phases[phase]
    digest = digest_at_end(study, phase, evaluator)
    return item_file(plan.run_dir, evaluator, plan.steps, digest)


PAIRS = "these checkpoints: adjusted matched pairs (Agresti–Min) over items"


def test_every_variant_has_every_metric_at_the_end_of_its_last_phase(comparison):
    assert len(comparison.cells) == len(comparison.rows) * 5
    cell = comparison.cells[CODE_LOSS, "cooldown_with_code"]
    assert (cell.runs, cell.step, cell.metric.count) == (("cooldown_code",), 60, 120)
    assert comparison.problems == ()


def test_differences_are_paired_and_have_a_direction(comparison):
    better = comparison.cells[CODE_LOSS, "code_to_text"]
    assert better.difference.is_paired
    assert better.difference.method == "these checkpoints: paired Student’s t over items"
    assert better.difference.value < 0
    assert better.outcome == "favorable"
    prose = comparison.cells[PROSE, "code_to_text"]
    assert prose.difference.method == PAIRS
    assert prose.difference.value < 0
    assert prose.outcome == "unfavorable"
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
    assert headline_rows([CODE_BITS, CODE_LOSS]) == (CODE_LOSS,)


def test_descriptions_are_shown_and_not_compared(comparison):
    row = MetricRow.of("prose_continuation", "predicted/0", PREDICTED.metric(ANY))
    assert row in comparison.rows
    assert all(comparison.cells[row, v].difference is None for v in comparison.variants)


def test_holm_is_taken_over_the_headline_and_over_the_rest_apart(comparison):
    cells = comparison.headline_differences
    assert len(cells) == 7 * 4
    expected = holm([cell.difference.p_value for cell in cells])
    assert sorted(cell.adjusted_p for cell in cells) == pytest.approx(sorted(expected))
    assert comparison.cells[CODE_BITS, "code_to_text"].adjusted_p is not None


def test_intervals_of_proportions_are_wilsons(comparison):
    metric = comparison.cells[PROSE, "text_only"].metric
    assert metric_interval(PROSE, metric) == wilson_interval(metric.value, 200)


def test_what_is_not_finished_is_not_compared(unfinished_study):
    comparison = compare_to_baseline(collect(unfinished_study))
    assert (CODE_LOSS, "cooldown_text") not in comparison.cells
    assert (CODE_LOSS, "cooldown_with_code") not in comparison.cells
    assert comparison.cells[CODE_LOSS, "code_to_text"].outcome == "favorable"


def test_without_item_scores_the_difference_is_unpaired_and_wider(copied_study, comparison):
    kept_at_end(copied_study, "text_pretrain", "validation_loss").unlink()
    cell = compare_to_baseline(collect(copied_study)).cells[CODE_LOSS, "code_to_text"]
    paired = comparison.cells[CODE_LOSS, "code_to_text"]
    assert not cell.difference.is_paired
    assert cell.difference.value == pytest.approx(paired.difference.value)
    wide, narrow = cell.difference.interval, paired.difference.interval
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize("num_items", [3, 6])
def test_unpaired_proportions_have_an_interval_even_where_all_failed(copied_study, num_items):
    """All items right in one run and none in the other: both standard errors are 0.

    The items are of three documents, one or two of each.
    """
    for phase, value in (("text_pretrain", 0.0), ("code_continue", 1.0)):
        run = Path(copied_study.phases[phase].run_dir)
        for path in (run / "items").glob("prose_continuation-*.npz"):
            path.unlink()
        lines = [json.loads(line) for line in (run / "evals.jsonl").read_text().splitlines()]
        changed = {"value": value, "standard_error": 0.0, "count": 3, "num_items": num_items}
        for line in lines:
            if line["evaluator"] == "prose_continuation":
                line["metrics"]["accuracy"] |= changed
        (run / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    difference = compare_to_baseline(collect(copied_study)).cells[PROSE, "code_to_text"].difference
    assert difference.method == "unpaired, Agresti–Caffo"
    assert difference.interval.low < 1 < difference.interval.high
    assert difference.p_value > 0.001


def test_a_diverged_variant_is_compared_with_an_unknown_interval(copied_study):
    run = Path(copied_study.phases["code_continue"].run_dir)
    name = CODE_LOSS.name
    digest = digest_at_end(copied_study, "code_continue", "validation_loss")
    items = read_item_scores(run, "validation_loss", 200, digest)
    assert items is not None
    items.scores[name][247] = np.nan
    drop_marks(run)
    write_item_scores(run, "validation_loss", 200, digest, items)
    lines = [json_values.decode(line) for line in (run / "evals.jsonl").read_text().splitlines()]
    for line in lines:
        if line["evaluator"] == "validation_loss":
            line["metrics"][name] |= {"value": np.nan, "standard_error": np.nan}
    (run / "evals.jsonl").write_text("".join(json_values.encode(line) + "\n" for line in lines))
    comparison = compare_to_baseline(collect(copied_study))
    cell = comparison.cells[CODE_LOSS, "code_to_text"]
    assert cell.outcome == "not distinguishable"
    assert cell.difference.is_paired
    assert cell.difference.interval.high == np.inf
    assert comparison.problems == ()


@pytest.mark.parametrize("count", [200, 150])
def test_items_of_another_evaluation_are_refused_by_name(copied_study, count):
    run = Path(copied_study.phases["code_continue"].run_dir)
    scores = {"accuracy": np.ones(count), "accuracy_per_byte": np.ones(count)}
    ids = [f"text_docstrings/{number}" for number in range(count)]
    digest = digest_at_end(copied_study, "code_continue", "prose_continuation")
    items = ItemScores(ids, scores, [], ids)
    drop_marks(run)
    write_item_scores(run, "prose_continuation", 200, digest, items)
    comparison = compare_to_baseline(collect(copied_study))
    cell = comparison.cells[PROSE, "code_to_text"]
    assert not cell.difference.is_paired
    expected = "the kept items are not those" if count == 200 else "cannot pair 150 items"
    assert any(expected in problem for problem in comparison.problems)


def test_a_variant_that_ends_in_the_baselines_run_has_no_difference_to_it(study):
    twin = replace(study, variants={**study.variants, "twin": ("text_pretrain",)})
    comparison = compare_to_baseline(collect(twin))
    assert comparison.cells[CODE_LOSS, "twin"].difference is None


def test_without_a_baseline_nothing_is_compared(study):
    results = collect(replace(study, baseline=None))
    assert compare_to_baseline(results).headline_differences == []
    assert compare_pairs(results) == []


def test_pairs_beside_the_baseline(study):
    pairs = compare_pairs(collect(study))
    assert [pair.variants for pair in pairs][-1] == ("cooldown_text", "cooldown_with_code")
    assert len(pairs) == 6
    cell = pairs[-1].cells[CODE_LOSS, "cooldown_with_code"]
    reverse = pairs[-1].cells[CODE_LOSS, "cooldown_text"].metric.value
    assert cell.difference.value == pytest.approx(cell.metric.value - reverse)


def test_of_many_pairs_only_those_with_a_shared_trunk(study, monkeypatch):
    monkeypatch.setattr("codepretrain.report.compare.MAX_PAIRS", 5)
    pairs = [pair.variants for pair in compare_pairs(collect(study))]
    assert pairs == [
        ("balanced_to_text", "cooldown_text"),
        ("balanced_to_text", "cooldown_with_code"),
        ("cooldown_text", "cooldown_with_code"),
    ]


def test_direction_and_primary_come_from_the_record_not_from_the_unit(copied_study):
    """The same numbers, recorded as "higher is better" and as secondary."""
    for plan in copied_study.phases.values():
        path = Path(plan.run_dir) / "evals.jsonl"
        lines = path.read_text().replace('"direction": "lower"', '"direction": "higher"')
        path.write_text(lines)
    comparison = compare_to_baseline(collect(copied_study))
    row = replace(CODE_LOSS, direction="higher")
    assert comparison.cells[row, "code_to_text"].difference.value < 0
    assert comparison.cells[row, "code_to_text"].outcome == "unfavorable"

    for plan in copied_study.phases.values():
        path = Path(plan.run_dir) / "evals.jsonl"
        path.write_text(path.read_text().replace('"is_primary": true', '"is_primary": false'))
    assert compare_to_baseline(collect(copied_study)).headline_rows == ()


def test_a_run_that_declares_a_metric_otherwise_is_not_compared(copied_study):
    path = Path(copied_study.phases["code_continue"].run_dir) / "evals.jsonl"
    path.write_text(path.read_text().replace('"direction": "lower"', '"direction": "higher"'))
    comparison = compare_to_baseline(collect(copied_study))
    assert (CODE_LOSS, "code_to_text") not in comparison.cells
    assert comparison.cells[CODE_LOSS, "cooldown_text"].difference is not None


def test_results_of_another_grader_are_shown_and_not_compared(copied_study):
    """The same options and items: the value is the study's, and the reason stands beside it."""
    run = Path(copied_study.phases["code_continue"].run_dir)
    lines = [json.loads(line) for line in (run / "evals.jsonl").read_text().splitlines()]
    for line in lines:
        if line["evaluator"] == "prose_continuation":
            line["identity"]["grader"] = "0"
            line["digest"] = identity_digest(line["identity"])
    (run / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    comparison = compare_to_baseline(collect(copied_study))
    cell = comparison.cells[PROSE, "code_to_text"]
    assert (cell.difference, cell.outcome) == (None, None)
    assert cell.not_compared == "differs from text_only in grader"
    assert cell.metric.num_items == 200
    [problem] = comparison.problems
    assert problem == (
        "prose_continuation of code_to_text differs from text_only in grader, so they are not "
        "compared: run `codepretrain evaluate --phase code_continue --phase text_pretrain`"
    )
    assert len(comparison.headline_differences) == 7 * 4 - 1
