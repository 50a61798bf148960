"""The report's tables in LaTeX, with the rules of `booktabs`.

Each is a `tabular` with a comment that says where its numbers are from. Whether a row is about
recipes or about checkpoints is in the column "Between".
"""

from collections.abc import Iterator

from codepretrain.report.compare import Comparison
from codepretrain.report.content import Content
from codepretrain.report.contrast_rows import contrast_rows
from codepretrain.report.latex_sections import pareto_table, trunk_tables
from codepretrain.report.latex_text import document, tabular
from codepretrain.report.published import Published
from codepretrain.report.published_rows import CellText, columns, table_rows
from codepretrain.report.wording import (
    NOT_THERE,
    difference_interval_text,
    difference_text,
    difference_unit,
    interval_text,
    label,
    sign_text,
    value_text,
)


def latex_tables(content: Content) -> str:
    """Returns all tables of a report, one after the other."""
    parts = []
    if content.contrasts:
        parts.append(_contrasts(content))
    if content.published is not None:
        parts.append(_published(content.published))
    if content.comparison.headline_rows:
        parts.append(_comparison(content.comparison))
    if content.averages is not None and content.averages.comparison.headline_rows:
        parts.append(_comparison(content.averages.comparison))
    if content.sections.trunks is not None:
        parts += trunk_tables(content.sections.trunks)
    if content.sections.pareto is not None:
        parts.append(pareto_table(content.sections.pareto))
    spec = content.results.spec
    title = f"study {spec.study}, {spec.code_version}, written {content.written_at}"
    return document(title, parts)


def _contrasts(content: Content) -> str:
    rows = [
        (
            *(row.name, row.hypothesis, row.value, row.interval, row.unit, row.p),
            *(row.missing or row.decision, row.between),
        )
        for row in contrast_rows(content.contrasts)
    ]
    header = (
        "Contrast",
        "Hypothesis",
        "Value",
        "95% interval",
        "Unit",
        "p (corrected)",
        "Decision",
    )
    return "% registered contrasts\n" + tabular("llrrlrll", (*header, "Between"), rows)


def _published(published: Published) -> str:
    names = [f"{name}, {whose}" for name in columns(published) for whose in ("paper", "ours")]
    rows = [
        [
            phase,
            *(text for cell in cells for text in (cell.published, _ours(cell))),
        ]
        for phase, cells in table_rows(published)
    ]
    comment = f"% {published.paper}, {published.place}, beside this study\n"
    return comment + tabular("l" + "r" * len(names), ["Phase", *names], rows)


def _ours(cell: CellText) -> str:
    return f"{cell.ours} ({cell.interval})" if cell.interval else cell.ours


def _comparison(comparison: Comparison) -> str:
    header = ("Metric", "Variant", "Value", "95% interval", "Difference", "95% interval", "Verdict")
    return "% variants and metrics\n" + tabular(
        "llrrrrll", (*header, "Between"), list(_cells(comparison))
    )


def _cells(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    for row in comparison.headline_rows:
        for variant in comparison.variants:
            cell = comparison.cells.get((row, variant))
            if cell is None:
                continue
            name = f"{label(row, comparison.rows)} ({'%' if row.is_percentage else row.unit})"
            value = value_text(row, cell.metric.value).rstrip("%")
            own = (name, variant, value, interval_text(row, cell.interval))
            if cell.difference is None:
                yield (*own, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE)
                continue
            yield (
                *own,
                f"{difference_text(row, cell.difference)} {difference_unit(row)}",
                difference_interval_text(row, cell.difference),
                sign_text(row, cell.difference),
                cell.difference.between.text,
            )
