"""The report as one self-contained HTML page: no network, no scripts."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from codepretrain.metrics.stopwatch import TIME_KINDS
from codepretrain.report import (
    accounts,
    contrast_plots,
    figure_style,
    findings,
    plots,
    published_rows,
    tables,
)
from codepretrain.report.answer_table import table_of
from codepretrain.report.answers import histograms, is_baseline_or_answer
from codepretrain.report.averaged import Averaged
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import MAX_PAIRS, Comparison
from codepretrain.report.content import Content
from codepretrain.report.contrast_answers import answers, lead
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrast_rows import contrast_rows, origin_rows
from codepretrain.report.judged import Judged
from codepretrain.report.noise_rows import LAST, noise_rows
from codepretrain.report.published import Published
from codepretrain.report.registered import not_registered
from codepretrain.report.section_views import section_views
from codepretrain.report.starts import start_rows
from codepretrain.report.templates import environment
from codepretrain.report.win_rate_rows import rate_text
from codepretrain.report.wording import NOT_THERE


@dataclass(frozen=True, kw_only=True)
class StudyParts:
    """What its page, and a page of several studies, show of one study alone.

    Attributes:
      values: of the templates.
      body: HTML of its answer, contrasts, tables and plots.
      origins: HTML of the origin of its numbers.
    """

    values: Mapping[str, Any]
    body: Markup
    origins: Markup


def study_parts(content: Content) -> StudyParts:
    """Returns the parts of the page that are about one study alone."""
    results, comparison, averages = content.results, content.comparison, content.averages
    values = {
        "written_at": content.written_at,
        "judged": content.judged,
        "rate_text": rate_text,
        **_summary(results, comparison, content.judged),
        "interim": findings.interim(results, content.contrasts),
        "not_registered": not_registered(content.contrasts),
        **_contrasts(content.contrasts),
        "answer_table": table_of(content),
        **_published(content.published),
        "noise_rows": noise_rows(results, comparison),
        "num_last": LAST,
        **_comparison(comparison),
        **section_views(content.sections, list(results.spec.variants)),
        "pairs": tables.pair_rows(content.pairs),
        "max_pairs": MAX_PAIRS,
        **_figures(results, comparison),
        "end_rows": tables.end_rows(results, comparison.headline_rows, read=content.reader.of),
        "averages": _averages(averages) if averages is not None else None,
    }
    templates = environment()
    return StudyParts(
        values=values,
        body=Markup(templates.get_template("page_study.html").render(values)),
        origins=Markup(templates.get_template("page_origins.html").render(values)),
    )


def render(
    content: Content, *, parts: StudyParts | None = None, reload_s: int | None = None
) -> str:
    """Returns the page's HTML.

    Args:
      parts: of the same content, if they are there already.
      reload_s: seconds after which the page reloads itself; None: it does not.
    """
    parts = parts or study_parts(content)
    values = {
        **parts.values,
        **run_tables(content.results),
        "reload_s": reload_s,
        "study": parts.body,
        "origins": parts.origins,
    }
    return environment().get_template("page.html").render(values)


def _contrasts(contrasts: Sequence[ContrastResult]) -> dict[str, Any]:
    rows = contrast_rows(contrasts)
    return {
        "contrast_rows": [row for row in rows if not row.is_control],
        "control_rows": [row for row in rows if row.is_control],
        "contrast_origins": origin_rows(contrasts),
        "answers": answers(contrasts),
        "contrast_overview": lead(contrasts) if contrasts else "",
        "power_rows": [row for row in rows if row.run_sd != NOT_THERE],
        "forest_svg": contrast_plots.forest_figure(
            [one for one in contrasts if not one.config.is_control]
        ),
        "control_svg": contrast_plots.forest_figure(
            [one for one in contrasts if one.config.is_control], name="controls"
        ),
        "trend_svg": contrast_plots.trend_figure(contrasts),
    }


def _summary(results: StudyResults, comparison: Comparison, judged: Judged) -> dict[str, Any]:
    statuses = {v: accounts.variant_status(results, v) for v in results.spec.variants}
    differences = [c.difference for c in comparison.headline_differences if c.difference]
    return {
        "spec": results.spec,
        "variants": list(results.spec.variants),
        "statuses": statuses,
        "counts": {v: len(results.replicates(v)) for v in results.spec.variants},
        "measured": {variant for _, variant in comparison.cells},
        "num_complete": sum(status == "complete" for status in statuses.values()),
        "overview": findings.overview(comparison),
        "caution": findings.caution(comparison),
        "has_recipes": any(difference.between.are_recipes for difference in differences),
        "findings": findings.findings(comparison),
        "has_tentative": any(findings.is_tentative(cell) for cell in comparison.cells.values()),
        "problems": list(
            dict.fromkeys([*results.all_problems, *comparison.problems, *judged.problems])
        ),
    }


def _published(published: Published | None) -> dict[str, Any]:
    return {
        "published": published,
        "published_columns": published_rows.columns(published) if published else [],
        "published_rows": published_rows.table_rows(published) if published else [],
        "effect_rows": published_rows.effect_rows(published) if published else [],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    headline = comparison.headline_rows
    others = [r for r in comparison.rows if r not in headline and not is_baseline_or_answer(r)]
    others.sort(key=lambda row: not row.is_score)
    return {
        "comparison": comparison,
        "has_unpaired": any(
            cell.difference is not None and not cell.difference.is_paired
            for cell in comparison.cells.values()
        ),
        "headline_blocks": tables.blocks(comparison, headline),
        "other_blocks": tables.blocks(comparison, tuple(others)) if others else [],
        "histograms": histograms(comparison),
        "number_rows": tables.number_rows(comparison),
        "row_view": functools.partial(tables.row_view, comparison),
        "cell_view": tables.cell_view,
    }


def _averages(averages: Averaged) -> dict[str, Any]:
    """Returns the section of the averages; those with excluded scores follow the others."""
    comparison = averages.comparison
    headline = comparison.headline_rows
    others = tuple(row for row in comparison.rows if row not in headline)
    return {
        "config": averages.config,
        "comparison": comparison,
        "blocks": tables.blocks(comparison, headline) if headline else [],
        "other_blocks": tables.blocks(comparison, others) if others else [],
        "row_view": functools.partial(tables.row_view, comparison),
        "headline": headline,
        "has_tentative": any(findings.is_tentative(cell) for cell in comparison.cells.values()),
        "pairs": tables.pair_rows(averages.pairs),
        "end_rows": tables.end_rows(averages.results, headline, read=averages.averages.read),
        "notes": averages.notes,
        "problems": averages.problems,
        "number_rows": tables.number_rows(comparison),
    }


def _figures(results: StudyResults, comparison: Comparison) -> dict[str, Any]:
    return {
        "difference_svg": plots.difference_figure(comparison),
        "loss_svg": plots.loss_figure(results),
        "hides_early_losses": plots.hides_early_losses(results),
        "path_svgs": plots.path_figures(results),
        "shown_sources": plots.shown_sources(results),
        "marker_paths": figure_style.MARKER_PATHS,
        "variant_look": figure_style.variant_look,
    }


def run_tables(results: StudyResults) -> dict[str, Any]:
    """Returns the values of the tables of runs and rows: phases, ledger, packing, time, starts."""
    return {
        "last_losses": accounts.LAST_LOSSES,
        "runs": list(results.runs.values()),
        "phase_rows": accounts.phase_rows(results),
        "skipped_rows": accounts.skipped_rows(results),
        "ledger_rows": accounts.ledger_rows(results),
        "packing_rows": accounts.packing_rows(results),
        "time_rows": accounts.time_rows(results),
        "start_rows": start_rows(results),
        "time_kinds": TIME_KINDS,
    }
