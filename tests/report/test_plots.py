import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from codepretrain.report import plots
from codepretrain.report.collect import collect
from tests.report.replicated import replicated_study


def words(svg):
    return [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text") and e.text]


def test_differences_have_a_panel_per_unit_and_direction(comparison):
    found = words(plots.difference_figure(comparison))
    assert "difference from text_only in nats/token, lower is better" in found
    assert "difference from text_only in points, higher is better" in found
    assert {"code", "all sources", "prose continuation"} <= set(found)


def test_metrics_of_one_unit_and_two_directions_have_two_panels(comparison):
    rows = {row: row for row in comparison.rows}
    code = next(row for row in comparison.headline_rows if row.name == "source/code/nats_per_token")
    rows[code] = replace(code, direction="higher")
    cells = {(rows[row], variant): cell for (row, variant), cell in comparison.cells.items()}
    changed = replace(comparison, rows=tuple(rows.values()), cells=cells)
    found = words(plots.difference_figure(changed))
    assert "difference from text_only in nats/token, lower is better" in found
    assert "difference from text_only in nats/token, higher is better" in found


def test_without_differences_there_is_no_figure(comparison):
    assert plots.difference_figure(replace(comparison, cells={})) == ""


def test_held_out_loss_has_a_panel_per_source(results, study):
    found = words(plots.loss_figure(results))
    assert [word for word in found if word in study.rows] == list(study.rows)


def test_only_sources_that_are_read_or_measured_have_a_color(results):
    """The study's fourteen sources had ten colors: code and markup were the same one."""
    rows = {"archive": {}, **results.spec.rows, "unread": {}}
    more = replace(results, spec=replace(results.spec, rows=rows))
    assert plots.shown_sources(more) == list(results.spec.rows)


def test_without_a_held_out_loss_there_is_no_figure(results):
    runs = {name: replace(run, evaluations=()) for name, run in results.runs.items()}
    assert plots.loss_figure(replace(results, runs=runs)) == ""


def with_losses(results, *, first, later):
    """The same results with constant losses, and others before the first step of each path."""

    def at(evaluation, step, value):
        metrics = {n: replace(metric, value=value) for n, metric in evaluation.metrics.items()}
        return replace(evaluation, step=step, metrics=metrics)

    runs = {}
    for name, run in results.runs.items():
        evaluations = [at(e, e.step, later) for e in run.evaluations]
        if not run.plan.tokens_before:
            evaluations = [*(at(e, 0, first) for e in run.evaluations), *evaluations]
        runs[name] = replace(run, evaluations=tuple(evaluations))
    return replace(results, runs=runs)


def test_losses_of_other_replicates_are_within_the_panel(tmp_path):
    levels = {"text": (1.0, 9.0), "code": (1.0, 1.1)}
    results = collect(replicated_study(tmp_path, levels, num_items=20))
    ticks = [float(w) for w in words(plots.loss_figure(results)) if w.replace(".", "").isdigit()]
    assert max(ticks) > 7


def test_losses_above_the_panel_are_noticed(results):
    assert plots.hides_early_losses(with_losses(results, first=9.0, later=2.0))
    assert not plots.hides_early_losses(with_losses(results, first=2.0, later=2.0))


def test_every_variant_has_its_path(results, study):
    figures = plots.path_figures(results)
    assert list(figures) == list(study.variants)
    assert {"mixture", "learning rate", "tokens"} <= set(words(figures["cooldown_text"]))


def test_an_unfinished_variant_is_drawn_up_to_where_it_is(unfinished_study):
    figures = plots.path_figures(collect(unfinished_study))
    assert "cooldown_with_code" in figures
