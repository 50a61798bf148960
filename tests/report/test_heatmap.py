from dataclasses import replace

import numpy as np
import pytest

from codepretrain.config.schema import AveragesConfig
from codepretrain.inference.crossed import contrast
from codepretrain.report.arms import find_arm
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from codepretrain.report.differences import Reader, scores_of
from codepretrain.report.evaluations import read_scores
from codepretrain.report.heatmap import heatmap, task_rows
from codepretrain.report.heatmap_rows import heat_blocks, legend
from tests.report.replicated import LOSS, LOSS_METRIC, replicated_study

LEVELS = {
    "plain": (3.0, 3.1, 2.9),
    "coded": (2.5, 2.6, 2.52),
    "same": (3.02, 2.93, 3.05),
}


def mapped(study):
    results = collect(study)
    comparison = compare_to_baseline(results)
    problems: list[str] = []
    found = heatmap(results, comparison, Reader(read_scores, problems))
    assert problems == []
    return results, comparison, found


def of_loss(found):
    (row,) = [of for of in found.rows if of.row.evaluator == LOSS]
    return row


def test_cells_are_differences_over_the_spread_between_runs(tmp_path):
    _, comparison, found = mapped(replicated_study(tmp_path, LEVELS))
    assert (found.unit, found.baseline, found.variants) == ("run", "plain", ("coded", "same"))
    loss = of_loss(found)
    values = {
        v: cell.values for (row, v), cell in comparison.cells.items() if row.evaluator == LOSS
    }
    sd = np.sqrt(np.mean([np.var(of, ddof=1) for of in values.values()]))
    assert loss.run_sd.value == pytest.approx(sd)
    assert loss.num_runs == 9
    # Lower losses are in the metric's direction: positive.
    expected = (np.mean(values["plain"]) - np.mean(values["coded"])) / sd
    assert loss.cells["coded"].scaled == pytest.approx(expected)
    assert expected > 4


def test_marks_are_those_of_benjamini_and_hochberg_over_all_cells(tmp_path):
    _, _, found = mapped(replicated_study(tmp_path, LEVELS))
    cells = [cell for of in found.rows for cell in of.cells.values()]
    p_values = sorted(cell.difference.p_value for cell in cells)
    assert found.num_tested == len(cells) == 4
    by_hand = [min(p_values[j] * 4 / (j + 1) for j in range(i, 4)) for i in range(4)]
    assert sorted(cell.adjusted_p for cell in cells) == pytest.approx(by_hand)
    assert of_loss(found).cells["coded"].is_found
    assert not of_loss(found).cells["same"].is_found


def test_a_run_that_several_variants_end_in_counts_once(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    fewer = replace(
        study,
        variants={**study.variants, "fewer": study.variants["coded"]},
        replicates={**study.replicates, "fewer": study.replicates["coded"][1:]},
    )
    _, _, once = mapped(study)
    _, _, again = mapped(fewer)
    assert of_loss(again).run_sd.value == pytest.approx(of_loss(once).run_sd.value)
    assert of_loss(again).num_runs == 9
    assert "fewer" in of_loss(again).cells


def test_checkpoints_are_in_standard_errors_over_items(tmp_path):
    study = replicated_study(tmp_path, {name: of[:1] for name, of in LEVELS.items()})
    results, _, found = mapped(study)
    assert found.unit == "item"
    loss = of_loss(found)
    arms = [find_arm(results, name, loss.row) for name in ("coded", "plain")]
    scores = scores_of([arm for arm in arms if arm is not None], read_scores)
    assert scores is not None
    error = contrast(scores, [1.0, -1.0], between="checkpoints").standard_error
    cell = loss.cells["coded"]
    assert cell.standard_error == error
    assert cell.scaled == pytest.approx(-cell.difference.value / error)
    assert loss.run_sd is None


def test_a_single_run_beside_recipes_is_not_tested(tmp_path):
    _, _, found = mapped(replicated_study(tmp_path, {**LEVELS, "alone": (2.0,)}))
    cell = of_loss(found).cells["alone"]
    assert found.unit == "run"
    assert (cell.adjusted_p, cell.is_found) == (None, False)
    assert found.num_tested == 4
    (block,) = heat_blocks(found)
    texts = [row.cells[block.variants.index("alone")].text for row in block.groups[0][1]]
    assert all(text.endswith("°") for text in texts)


def test_rows_are_the_scores_of_the_averages_and_then_the_other_primary_metrics(tmp_path):
    averages = AveragesConfig(
        categories={"answers": ("quiz/accuracy",), "again": ("quiz/accuracy",)}
    )
    study = replace(replicated_study(tmp_path, LEVELS), averages=averages)
    results = collect(study)
    rows = list(task_rows(results, compare_to_baseline(results)))
    assert [(group, row.evaluator, row.name) for group, row in rows] == [
        ("answers", "quiz", "accuracy"),
        ("", LOSS, LOSS_METRIC),
    ]


def test_colors_saturate_and_every_cell_has_its_number(tmp_path):
    _, _, found = mapped(replicated_study(tmp_path, LEVELS))
    (block,) = heat_blocks(found)
    cells = {
        (row.label, variant): cell
        for _, rows in block.groups
        for row in rows
        for variant, cell in zip(block.variants, row.cells, strict=True)
    }
    assert cells["code", "coded"].level == 4
    assert cells["code", "coded"].text.startswith("+")
    assert cells["code", "coded"].text.endswith("*")
    assert cells["code", "same"].level in (-1, 0, 1)
    assert next(legend()) == (-4, "< −4")
    assert list(legend())[5] == (1, "+0.5 to +1")


def test_a_study_without_a_baseline_has_no_map(tmp_path):
    assert mapped(replace(replicated_study(tmp_path, LEVELS), baseline=None))[2] is None
