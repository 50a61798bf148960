"""The comparison as a table in the terminal, at most 100 columns wide.

Metrics go down and variants across; where variants do not fit, the table goes on below with the
baseline repeated. Without a terminal (a file, a pipe) the same text comes without colours.
"""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Cell, Comparison, MetricRow
from codepretrain.report.tables import Block, blocks, status_text
from codepretrain.report.wording import (
    difference_interval_text,
    difference_text,
    interval_text,
    is_tentative,
    label,
    overview,
    value_text,
)

MAX_WIDTH = 100
_CELL_WIDTH, _LABEL_WIDTH = 18, 22
_STYLES = {"better": "green", "worse": "red", "not distinguishable": "dim", None: ""}
_SHORT = {"better": "better", "worse": "worse", "not distinguishable": "not dist."}


def print_comparison(console: Console, results: StudyResults, comparison: Comparison) -> None:
    """Prints the overview, the table of the headline metrics, and what is not complete."""
    width = min(MAX_WIDTH, console.width)
    console.print(Text(f"\n{results.spec.study}", style="bold"))
    console.print(Text(overview(comparison)), width=width)
    if comparison.rows:
        num_columns = max(2, (width - _LABEL_WIDTH) // (_CELL_WIDTH + 2))
        for block in blocks(comparison, comparison.headline_rows, max_variants=num_columns):
            console.print(_table(comparison, block), width=width)
    for variant in comparison.variants:
        run = results.last_run(variant)
        if run.status != "complete":
            console.print(Text(f"{variant}: {run.name} is {status_text(run)}", style="yellow"))
    console.print(Text(_legend(comparison), style="dim"), width=width)


def _table(comparison: Comparison, block: Block) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("", width=_LABEL_WIDTH)
    for variant in block.variants:
        header = Text(_breakable(variant))
        if variant == comparison.baseline:
            header.append("\nbaseline", style="dim")
        table.add_column(header, width=_CELL_WIDTH, overflow="fold")
    for _, rows in block.groups():
        for row, cells in rows:
            name = Text(label(row)).append(f"\n{'%' if row.is_proportion else row.unit}", "dim")
            table.add_row(name, *(_cell(row, cell) for cell in cells))
        table.add_section()
    return table


def _cell(row: MetricRow, cell: Cell | None) -> Text:
    """Value and its interval, below it the difference with its own."""
    if cell is None:
        return Text("not measured", style="dim italic")
    text = Text(value_text(row, cell.metric.value), style="bold")
    text.append(f"\n{interval_text(row, cell.interval)}", style="not bold dim")
    if cell.difference is not None and cell.outcome is not None:
        dagger = "†" if is_tentative(cell) else ""
        change = f"{difference_text(row, cell.difference)}{dagger} {_SHORT[cell.outcome]}"
        style = f"not bold {_STYLES[cell.outcome]}"
        text.append(f"\n{change}", style=style)
        text.append(f"\n{difference_interval_text(row, cell.difference)}", style="not bold dim")
    return text


def _legend(comparison: Comparison) -> str:
    text = "95% intervals over evaluation items; one training run per variant."
    if comparison.num_differences:
        text += " Third line: difference to the baseline, fourth: its interval, taken item by item."
    if any(is_tentative(cell) for cell in comparison.cells.values()):
        text += " † not after Holm's correction."
    return text


def _breakable(name: str) -> str:
    """Lets long names break after an underscore: a zero-width space would be copied with them."""
    lines, line = [], ""
    for part in name.replace("_", "_\n").split("\n"):
        if line and len(line) + len(part) > _CELL_WIDTH:
            lines.append(line)
            line = ""
        line += part
    return "\n".join([*lines, line])
