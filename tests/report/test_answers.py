from dataclasses import replace

from codepretrain.evals.estimate import Estimate
from codepretrain.evals.multiple_choice import ACCURACY, ACCURACY_PER_BYTE, MAJORITY, PREDICTED
from codepretrain.evals.programs.metrics import REASON
from codepretrain.inference.interval import Interval
from codepretrain.report.answers import baseline_notes, histograms, is_baseline_or_answer
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.compare import Comparison


def comparison_of(evaluator, **metrics):
    """Returns a comparison of one variant; `metrics`: name with __ for / → (declaration, value)."""
    cells = {}
    for name, (spec, value) in metrics.items():
        metric = spec.metric(Estimate(value, 0.1, 9))
        row = MetricRow.of(evaluator, name.replace("__", "/"), metric)
        cells[row, "v"] = Cell(
            runs=("r",),
            step=1,
            digest="d",
            metric=metric,
            values=(metric.value,),
            interval=Interval(0, 1),
        )
    rows = tuple(row for row, _ in cells)
    return Comparison(baseline=None, variants=("v",), rows=rows, cells=cells, problems=())


def test_a_histogram_per_task_and_variant(comparison):
    found = histograms(comparison)
    assert [histogram.label for histogram in found] == [
        "prose continuation",
        "code continuation",
        "python expression",
    ]
    assert list(found[0].shares) == list(comparison.variants)
    shares = found[0].shares["text_only"]
    assert [(answer, text) for answer, _, text in shares] == [("0", "38.5%"), ("1", "61.5%")]
    assert sum(value for _, value, _ in shares) == 1


def test_each_task_of_an_evaluator_has_its_own_baselines_and_answers():
    found = comparison_of(
        "suite",
        piqa__accuracy=(ACCURACY, 0.6),
        piqa__baseline__majority=(MAJORITY, 0.52),
        piqa__predicted__0=(PREDICTED, 0.7),
        boolq__accuracy=(ACCURACY, 0.6),
        boolq__baseline__majority=(MAJORITY, 0.62),
    )
    notes = {row.name: baseline_notes(found, row) for row in found.headline_rows}
    assert notes == {"piqa/accuracy": ["majority 52.0%"], "boolq/accuracy": ["majority 62.0%"]}
    [histogram] = histograms(found)
    assert histogram.shares == {"v": [("0", 0.7, "70.0%")]}
    assert "piqa" in histogram.label


def test_of_an_average_over_tasks_each_task_shows_its_baselines():
    found = comparison_of(
        "suite",
        piqa__accuracy=(replace(ACCURACY, is_primary=False), 0.6),
        piqa__accuracy_per_byte=(ACCURACY_PER_BYTE, 0.6),
        piqa__baseline__majority=(MAJORITY, 0.52),
    )
    notes = {row.name: baseline_notes(found, row) for row in found.rows}
    assert notes["piqa/accuracy"] == ["majority 52.0%"]
    assert notes["piqa/accuracy_per_byte"] == []


def test_a_secondary_score_has_chance_alone(comparison):
    row = next(row for row in comparison.rows if row.name == "accuracy_per_byte")
    assert baseline_notes(comparison, row) == ["chance 25.0%"]


def test_only_baselines_and_answers_have_no_row_of_their_own(comparison):
    left_out = {row.name for row in comparison.rows if is_baseline_or_answer(row)}
    assert left_out == {"baseline/majority", "baseline/shortest", "predicted/0", "predicted/1"}
    other = replace(next(iter(comparison.rows)), name="length", direction=None, is_primary=False)
    assert not is_baseline_or_answer(other)


def test_how_programs_ended_is_a_histogram():
    found = comparison_of(
        "human_eval",
        pass_at_1=(ACCURACY, 0.25),
        reason__passed=(REASON, 0.25),
        reason__wrong=(REASON, 0.75),
    )
    [histogram] = histograms(found)
    assert histogram.shares == {"v": [("passed", 0.25, "25.0%"), ("wrong", 0.75, "75.0%")]}
    assert histogram.label == "human eval"
    left_out = {row.name for row in found.rows if is_baseline_or_answer(row)}
    assert left_out == {"reason/passed", "reason/wrong"}
