"""The report's tables in LaTeX, with the rules of `booktabs`.

Whether a row is about recipes or about checkpoints is in the column "Between".
"""

from collections.abc import Iterator

from codepretrain.report.cells import MetricRow
from codepretrain.report.compare import Comparison
from codepretrain.report.content import Content
from codepretrain.report.contrast_rows import contrast_rows
from codepretrain.report.findings import is_tentative
from codepretrain.report.latex_sections import pareto_table, trunk_tables
from codepretrain.report.latex_text import Row, document, table
from codepretrain.report.published import Published
from codepretrain.report.published_rows import columns, table_rows
from codepretrain.report.wording import (
    NOT_THERE,
    difference_interval_text,
    difference_text,
    interval_text,
    label,
    sign_text,
    value_text,
)


def latex_tables(content: Content) -> str:
    """Returns all tables of a report, one after the other."""
    parts = []
    if content.contrasts:
        parts.append(_contrasts(content, "Registered contrasts", is_control=False))
        parts.append(_contrasts(content, "Controls", is_control=True))
    if content.published is not None:
        parts.append(_published(content.published))
    if content.comparison.headline_rows:
        parts.append(_comparison(content.comparison, "Variants and metrics"))
    if content.averages is not None and content.averages.comparison.headline_rows:
        parts.append(_comparison(content.averages.comparison, "Averages over tasks"))
    if content.sections.trunks is not None:
        parts += trunk_tables(content.sections.trunks)
    if content.sections.pareto is not None:
        parts.append(pareto_table(content.sections.pareto))
    spec = content.results.spec
    title = f"study {spec.study}, {spec.code_version}, written {content.written_at}"
    return document(title, [*filter(None, parts)])


def _contrasts(content: Content, caption: str, *, is_control: bool) -> str:
    """Returns a table of which each row is below its hypothesis."""
    rows: list[Row] = []
    for row in contrast_rows(content.contrasts):
        if row.is_control == is_control:
            value = f"{row.value} {row.unit}".rstrip()
            decision = row.missing or row.decision
            rows += [
                f"{row.name}: {row.arms} on {row.metric} {row.hypothesis}",
                (value, row.interval, row.p, decision, row.between),
            ]
    header = ("Value", "95% interval", "p (corrected)", "Decision", "Between")
    return table(caption, "rrrll", header, rows, common="Between")


def _published(published: Published) -> str:
    rows: list[Row] = []
    for phase, cells in table_rows(published):
        rows += [
            phase,
            *(
                (name, cell.published, cell.ours, cell.interval or NOT_THERE)
                for name, cell in zip(columns(published), cells, strict=True)
            ),
        ]
    caption = f"{published.paper}, {published.place}, beside this study, in percent"
    return table(caption, "lrrr", ("Average", "Paper", "Ours", "95% interval"), rows)


def _comparison(comparison: Comparison, caption: str) -> str:
    header = ("Variant", "Value", "95% interval", "Difference", "95% interval", "Verdict")
    rows: list[Row] = []
    for row in comparison.headline_rows:
        unit = "%; differences in points" if row.is_percentage else row.unit
        rows += [f"{label(row, comparison.rows)} ({unit})", *_cells(comparison, row)]
    if any(is_tentative(cell) for cell in comparison.headline_differences):
        caption += ". †: not distinguishable after Holm’s correction"
    return table(caption, "lrrrrll", (*header, "Between"), rows, common="Between")


def _cells(comparison: Comparison, row: MetricRow) -> Iterator[tuple[str, ...]]:
    for variant in comparison.variants:
        cell = comparison.cells.get((row, variant))
        if cell is None:
            continue
        value = value_text(row, cell.metric.value).rstrip("%")
        own = (variant, value, interval_text(row, cell.interval))
        if cell.difference is None:
            yield (*own, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE)
            continue
        yield (
            *own,
            difference_text(row, cell.difference),
            difference_interval_text(row, cell.difference),
            sign_text(row, cell.difference) + ("†" if is_tentative(cell) else ""),
            cell.difference.between.text,
        )
