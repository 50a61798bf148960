"""The comparison as a table in the terminal, at most 100 columns wide.

It has the primary metrics and those that the study's contrasts are decided on; the comparison of
any two checkpoints has no contrasts, and has the loss of each task beside its primary metric.

Rows are metrics and columns are variants. Variants that do not fit continue in a table below, with
the baseline repeated. A file or a pipe gets the same text without colors.
"""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from codepretrain.report.accounts import variant_status
from codepretrain.report.answers import baseline_notes
from codepretrain.report.averaged import Averaged
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison, decided_rows
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.findings import caution, interim, is_tentative, overview
from codepretrain.report.registered import not_registered
from codepretrain.report.tables import Block, blocks
from codepretrain.report.wording import difference_text, half_text, label, value_text

MAX_WIDTH = 100
_CELL_WIDTH, _LABEL_WIDTH = 15, 16
_MARKS = {
    "favorable": ("✓", "green"),
    "unfavorable": ("✗", "red"),
    "not distinguishable": ("≈", "dim"),
}


def print_comparison(console: Console, results: StudyResults, comparison: Comparison) -> None:
    """Prints the overview, the table of the headline metrics, unfinished variants, and problems."""
    width = min(MAX_WIDTH, console.width)
    console.print(Text(f"\n{results.spec.study}", style="bold"))
    console.print(Text(overview(comparison)), width=width)
    print_tables(console, comparison, decided_rows(results, comparison))
    for variant in comparison.variants:
        status = variant_status(results, variant)
        if status != "complete":
            console.print(Text(f"{variant}: {status}", style="yellow"), soft_wrap=True)
    print_problems(console, results, comparison)
    for line in results.spec.shared_seeds:
        console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print(Text(legend(comparison), style="dim"), width=width)


def print_cautions(
    console: Console,
    results: StudyResults,
    contrasts: Sequence[ContrastResult],
    *,
    width: int,
) -> None:
    """Prints whether decisions are interim, and which contrasts were not registered before."""
    for warning in filter(None, (interim(results, contrasts), not_registered(contrasts))):
        console.print(Text(f"\n{warning}", style="yellow"), width=width)


def rows_with_losses(comparison: Comparison) -> tuple[MetricRow, ...]:
    """Returns the primary metrics and each evaluation's loss, such as the bits of its answers."""
    return tuple(
        row
        for row in comparison.rows
        if row.is_primary or (row.direction == "lower" and "/" not in row.name)
    )


def print_problems(console: Console, results: StudyResults, comparison: Comparison) -> None:
    """Prints a line for everything that could not be read or compared."""
    for problem in dict.fromkeys([*results.all_problems, *comparison.problems]):
        console.print(Text(f"problem: {problem}", style="yellow"), soft_wrap=True)


def print_tables(console: Console, comparison: Comparison, rows: tuple[MetricRow, ...]) -> None:
    """Prints what may not be concluded, the table of some metrics, and their baselines."""
    width = min(MAX_WIDTH, console.width)
    if warning := caution(comparison):
        console.print(Text(warning, style="yellow"), width=width)
    if rows:
        num_columns = max(2, (width - _LABEL_WIDTH - 3) // (_CELL_WIDTH + 1))
        for block in blocks(comparison, rows, max_variants=num_columns):
            console.print(_table(comparison, block), width=width)
    for row in rows:
        if row.is_percentage and (notes := baseline_notes(comparison, row)):
            line = f"{label(row, comparison.rows)}: {', '.join(notes)}"
            console.print(Text(line, style="dim"), width=width)


def print_averages(console: Console, averages: Averaged | None) -> None:
    """Prints the table of a study's averages, and why some are not there."""
    if averages is None:
        return
    width = min(MAX_WIDTH, console.width)
    comparison = averages.comparison
    console.print(Text("\naverages", style="bold"))
    if comparison.headline_rows:
        num_columns = max(2, (width - _LABEL_WIDTH - 3) // (_CELL_WIDTH + 1))
        for block in blocks(comparison, comparison.headline_rows, max_variants=num_columns):
            console.print(_table(comparison, block, missing="none"), width=width)
    if averages.config.excluded:
        excluded = ", ".join(averages.config.excluded)
        console.print(Text(f"left out of all averages: {excluded}", style="dim"), width=width)
    for line in [*averages.notes, *averages.problems]:
        console.print(Text(line, style="yellow"), soft_wrap=True)


def _table(comparison: Comparison, block: Block, missing: str = "not measured") -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("", width=_LABEL_WIDTH)
    for variant in block.variants:
        header = Text(broken(variant))
        if variant == comparison.baseline:
            header.append("\nbaseline", style="dim")
        table.add_column(header, width=_CELL_WIDTH, overflow="fold")
    for _, rows in block.groups():
        for row, cells in rows:
            name = Text(label(row, comparison.rows)).append(
                f"\n{'%' if row.is_percentage else row.unit}", "dim"
            )
            table.add_row(name, *(_cell(row, cell, missing) for cell in cells))
        table.add_section()
    return table


def _cell(row: MetricRow, cell: Cell | None, missing: str) -> Text:
    """Returns the value, and below it the difference from the baseline, with half intervals."""
    if cell is None:
        return Text(missing, style="dim italic")
    text = Text(value_text(row, cell.metric.value).rstrip("%"), style="bold")
    text.append(f" {half_text(row, cell.interval)}", style="not bold dim")
    if cell.difference is not None and cell.outcome is not None:
        mark, style = _MARKS[cell.outcome]
        mark = f"{mark}†" if is_tentative(cell) else f" {mark}"
        text.append(f"\n{difference_text(row, cell.difference)}", style=f"not bold {style}")
        text.append(f" {half_text(row, cell.difference.interval)}", style="not bold dim")
        text.append(mark, style=f"not bold {style}")
    return text


def legend(comparison: Comparison) -> str:
    """Returns what the marks and the half intervals of a table are."""
    text = (
        "±: half of a 95% interval over evaluation items; over runs and items where a variant has "
        "replicates."
    )
    if comparison.headline_differences:
        text += (
            f" Second line: difference from {comparison.baseline}, {_pairing(comparison)}."
            f" ✓ in the metric’s direction, ✗ against it, ≈ not distinguishable: of"
            f" {_compared(comparison)}."
        )
    if any(is_tentative(cell) for cell in comparison.headline_differences):
        text += " †: not distinguishable after Holm’s correction."
    return text


def _compared(comparison: Comparison) -> str:
    """Returns what was compared: "two checkpoints" or "recipes, 3 replicates"."""
    found = [c.difference.between.text for c in comparison.headline_differences if c.difference]
    return " or ".join(dict.fromkeys(found))


def _pairing(comparison: Comparison) -> str:
    cells = comparison.headline_differences
    if all(cell.difference is None or cell.difference.is_paired for cell in cells):
        return "paired by item"
    return "paired by item where the item scores of both runs can be read (see the page)"


def broken(name: str, width: int = _CELL_WIDTH) -> str:
    """Returns the name, broken after underscores into lines that fit a column."""
    lines, line = [], ""
    for part in name.replace("_", "_\n").split("\n"):
        if line and len(line) + len(part) > width:
            lines.append(line)
            line = ""
        line += part
    return "\n".join([*lines, line])
