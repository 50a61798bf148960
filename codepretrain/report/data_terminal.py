"""Prints the description of a study's data."""

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from codepretrain.printable import printable
from codepretrain.report import data_findings
from codepretrain.report import data_tables as tables
from codepretrain.report.data_tables import Description, Table

_TEXT_COLUMNS = (
    *("what became of it", "split", "language", "source", "parent", "stage"),
    *("documents that contain them", "SHA-256"),
)
_MAX_CELL = 24  # longer cells are folded
_MAX_WIDTH = 400


def print_description(console: Console, description: Description) -> None:
    """Prints every table that has rows, then the findings about overlap and split."""
    console.print(f"data of study {description['study']}", style="bold", markup=False)
    console.print(f"{description['data_dir']}\n", markup=False, highlight=False, soft_wrap=True)
    for title, first, table in (
        ("What was read, and what became of it", "source", tables.fate_table),
        ("Rows", "source", tables.row_table),
        ("Languages in rows", "source", tables.language_table),
        ("Phases, each by itself", "phase", tables.phase_table),
        ("Repetition at the end of each path", "variant", tables.path_table),
        ("Overlap between sources", "sources", tables.overlap_table),
        ("Split", "", tables.split_table),
        ("Evaluation sets", "benchmark", tables.benchmark_table),
    ):
        _print_table(console, title, first, table(description))
    for line in _lines(description):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_table(console: Console, title: str, first: str, table: Table) -> None:
    """Prints a table, wider than the terminal if its cells need that."""
    if not table.rows:
        return
    drawn = RichTable(title=title, title_justify="left")
    drawn.add_column(first, min_width=max(len(name) for name, _ in table.rows), overflow="fold")
    for index, name in enumerate(table.titles):
        justify: Any = "left" if name in _TEXT_COLUMNS else "right"
        words = [*(cells[index] for _, cells in table.rows), *name.split()]
        width = min(_MAX_CELL, max(map(len, words)))
        drawn.add_column(name, justify=justify, min_width=width, overflow="fold")
    before = None
    for name, cells in table.rows:
        drawn.add_row("" if name == before else Text(name), *(Text(cell) for cell in cells))
        before = name
    needed = Measurement.get(console, console.options.update(width=_MAX_WIDTH), drawn).minimum
    console.print(drawn, width=max(console.width, needed), crop=False)


def _lines(description: Description) -> list[str]:
    """Returns the reasons for skipping and filtering, and the findings."""
    lines = []
    for row in tables.reason_rows(description):
        first = f" (such as {printable(row['examples'][0], kept='')})" if row["examples"] else ""
        reason = printable(row["reason"], kept="")
        lines.append(f"{row['source']}: {row['documents']} {reason}, by {row['by']}{first}")
    lines += data_findings.limit_lines(description)
    lines += data_findings.sampled_lines(description)
    lines += data_findings.warning_lines(description)
    return [*lines, data_findings.split_sentence(description)]
