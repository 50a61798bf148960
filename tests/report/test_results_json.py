import json
from dataclasses import replace

from codepretrain.report.results_json import results_json
from tests.report.replicated import content


def test_a_cell_tells_what_the_metric_is(results, comparison):
    numbers = results_json(content(results, comparison))
    cells = {(c["variant"], c["name"]): c for c in numbers["comparison"]["cells"]}
    cell = cells["code_to_text", "source/code/nats_per_token"]
    assert (cell["unit"], cell["direction"], cell["is_primary"], cell["cluster"]) == (
        "nats/token",
        "lower",
        True,
        "group",
    )
    assert cell["metric"]["null_value"] is None
    assert cells["code_to_text", "accuracy"]["metric"]["null_value"] == 0.25


def test_numbers_that_json_lacks_are_strings(results, comparison):
    key = next(iter(comparison.cells))
    cell = comparison.cells[key]
    metric = replace(cell.metric, standard_error=float("nan"))
    changed = replace(comparison, cells={key: replace(cell, metric=metric)})
    numbers = results_json(content(results, changed))
    assert numbers["comparison"]["cells"][0]["metric"]["standard_error"] == "NaN"
    json.dumps(numbers, allow_nan=False)


def test_the_format_number_stands_for_these_fields(results, comparison):
    """Increase the number with every field that is renamed, removed, or changes its meaning."""
    numbers = results_json(content(results, comparison))
    (cell,) = [c for c in numbers["comparison"]["cells"] if c["name"] == "accuracy"][:1]
    evaluation = next(e for run in numbers["phases"].values() for e in run["evaluations"])
    assert numbers["format"] == 3
    assert {*numbers} >= {"study", "comparison", "pairs", "win_rates", "judge_agreement", "phases"}
    assert {*cell} >= {
        "evaluator",
        "cluster",
        "runs",
        "values",
        "between",
        "metric",
        "interval",
        "difference",
        "not_compared",
    }
    assert {*cell["metric"]} >= {"value", "standard_error", "count", "num_items", "freedom"}
    assert {*evaluation} >= {"step", "evaluator", "digest", "identity", "metrics"}
