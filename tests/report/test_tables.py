from dataclasses import replace
from pathlib import Path

import pytest

from codepretrain.report import tables
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_pairs
from codepretrain.report.wording import difference_text


def test_many_variants_go_on_in_further_blocks_with_the_baseline_repeated(comparison):
    blocks = tables.blocks(comparison, comparison.headline_rows, max_variants=3)
    assert [block.variants for block in blocks] == [
        ("text_only", "balanced_to_text", "code_to_text"),
        ("text_only", "cooldown_text", "cooldown_with_code"),
    ]
    assert [title for title, _ in blocks[0].groups()] == ["Held-out loss", "Tasks"]
    without = replace(comparison, baseline=None)
    blocks = tables.blocks(without, comparison.headline_rows, max_variants=3)
    assert [len(block.variants) for block in blocks] == [3, 2]


def test_a_loss_of_an_evaluator_of_tasks_is_shown_with_its_tasks(comparison):
    """Bits per byte of right answers are no held-out loss."""
    rows = comparison.headline_rows
    task = next(row for row in rows if row.evaluator == "prose_continuation")
    bits = replace(task, name="gold_bits_per_byte", unit="bits/byte", direction="lower")
    ours = [row for row in rows if row.evaluator == "prose_continuation"]
    (block,) = tables.blocks(comparison, (rows[0], *ours, bits), max_variants=9)
    assert [title for title, _ in block.groups()] == ["Held-out loss", "Tasks"]


def test_each_title_is_there_once_whatever_the_order_of_the_evaluators(comparison):
    """An evaluation in the loop is recorded before the others, so a loss may be between tasks."""
    loss, first, second = (
        next(row for row in comparison.headline_rows if row.evaluator == name)
        for name in ("validation_loss", "prose_continuation", "code_continuation")
    )
    (block,) = tables.blocks(comparison, (first, loss, second), max_variants=9)
    found = [(title, [row for row, _ in rows]) for title, rows in block.groups()]
    assert found == [("Tasks", [first, second]), ("Held-out loss", [loss])]


def test_a_metric_is_told_with_its_direction_and_what_trivial_policies_reach(comparison):
    notes = {
        row.evaluator: tables.row_view(comparison, row)["notes"] for row in comparison.headline_rows
    }
    assert notes["validation_loss"] == "nats/token, lower is better"
    expected = "%, higher is better, chance 25.0%, majority 27.5%, shortest 30.5%"
    assert notes["prose_continuation"] == expected


def test_a_loss_is_told_with_that_of_a_uniform_guess(comparison):
    row = comparison.headline_rows[0]
    cells = {
        key: replace(cell, metric=replace(cell.metric, null_value=8.3178))
        for key, cell in comparison.cells.items()
    }
    notes = tables.row_view(replace(comparison, cells=cells), row)["notes"]
    assert notes == "nats/token, lower is better, uniform guess 8.318"


def test_pairs_of_two_loss_evaluators_are_told_apart(copied_study):
    """Each column has its own evaluator's difference, though both are called by the source."""
    for plan in copied_study.phases.values():
        path = Path(plan.run_dir) / "evals.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        twins = [line.replace('"validation_loss"', '"other_loss"') for line in lines]
        twins = [line.replace('"value": ', '"value": 1') for line in twins if "other_loss" in line]
        path.write_text("".join([*lines, *twins]))
    evaluators = copied_study.evaluators
    twin = {**evaluators["validation_loss"], "spec": "other_loss"}
    pairs = compare_pairs(
        collect(replace(copied_study, evaluators={**evaluators, "other_loss": twin}))
    )
    rows = pairs[0].headline_rows
    (view, *_) = tables.pair_rows(pairs)
    labels = [tables.row_view(pairs[0], row)["label"] for row in rows]
    assert len(labels) == len(set(labels)) == len(view["cells"])
    assert {"validation loss: code", "other loss: code"} <= set(labels)
    for row, cell in zip(rows, view["cells"], strict=True):
        difference = pairs[0].cells[row, pairs[0].variants[1]].difference
        assert difference is not None
        assert cell["difference"] == difference_text(row, difference)


def test_numbers_tell_their_run_and_method(comparison):
    rows = {(r["metric"], r["variant"]): r for r in tables.number_rows(comparison)}
    row = rows["validation_loss: source/code/nats_per_token", "code_to_text"]
    assert (row["run"], row["step"], row["count"]) == ("code_continue", "200", "120")
    assert row["method"] == "these checkpoints: paired Student’s t over items"
    assert rows["prose_continuation: predicted/0", "code_to_text"]["difference"] == "–"


def test_the_end_of_every_phase_has_its_metrics(results, comparison):
    table = dict(tables.end_rows(results, comparison.headline_rows))
    assert list(table) == list(results.runs)
    assert all(view is not None for view in table["code_init"])


def test_descriptions_have_a_group_of_their_own(comparison):
    others = tuple(row for row in comparison.rows if not row.is_score)
    (block, *_) = tables.blocks(comparison, others)
    assert [title for title, _ in block.groups()] == [
        "prose continuation: descriptions",
        "code continuation: descriptions",
        "python expression: descriptions",
    ]


def test_a_value_that_is_not_compared_says_why(comparison):
    key = next(key for key, cell in comparison.cells.items() if cell.difference is not None)
    cell = replace(comparison.cells[key], difference=None, outcome=None, not_compared="other x")
    view = tables.cell_view(key[0], cell)
    assert view["not_compared"] == "other x"
    assert "difference" not in view


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["piqa/accuracy", "piqa/predicted/0", "nq_open/score/f1"], "mean of piqa, nq open"),
        (["average/reasoning", "average/world_knowledge"], "mean of reasoning, world knowledge"),
        (["unfiltered_average", "cb/accuracy"], "without the excluded tasks, mean of the others"),
        ([f"t{n}/accuracy" for n in range(5)], "mean of t0, t1, t2, t3 …"),
    ],
)
def test_an_average_says_what_it_is_the_mean_of(comparison, names, expected):
    accuracy = next(row for row in comparison.headline_rows if row.direction == "higher")
    average = replace(accuracy, evaluator="suite", name="average", is_primary=True)
    others = [replace(average, name=name, is_primary=False) for name in names]
    found = replace(comparison, rows=(average, *others), cells={})
    view = tables.row_view(found, average)
    assert (view["label"], view["notes"]) == ("suite: average", f"%, higher is better, {expected}")
