"""The sections about all variants in the terminal: trunks and what follows them, the front."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from codepretrain.report.pareto import Pareto
from codepretrain.report.pareto_view import axis_labels, pareto_rows
from codepretrain.report.terminal import broken
from codepretrain.report.trunk_rows import continuation_rows, slope_tables
from codepretrain.report.trunks import Trunks

_NAME_WIDTH, _CELL_WIDTH = 20, 15


def print_trunks(console: Console, found: Trunks | None, *, width: int) -> None:
    """Prints what the continuations are, and a table of scores with the slopes below them."""
    if found is None:
        return
    console.print(Text("\ntrunks and what follows them", style="bold"))
    for row in continuation_rows(found):
        tokens, rate = (
            (f"{row['tokens']} tokens", f"rate {row['rate']}") if row["rate"] else ("", "")
        )
        of = ", ".join(filter(None, [row["mixture"], tokens, rate]))
        console.print(Text(f"{row['letter']}  {of} ({row['variants']})"), width=width)
    size = max(2, (width - _NAME_WIDTH) // (_CELL_WIDTH + 1))
    # The first column is what the slopes are from, so it stands in every block.
    for start in range(1, max(2, len(found.columns)), size - 1):
        shown = [0, *range(start, min(start + size - 1, len(found.columns)))]
        console.print(_table(found, shown), width=width)
    text = "Second line: the slope from a trunk’s first column, with its 95% interval."
    console.print(Text(f"{text} Slopes were not registered.", style="dim"), width=width)


def _table(found: Trunks, shown: list[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("", width=_NAME_WIDTH, overflow="fold")
    for place in shown:
        table.add_column(found.columns[place].letter, width=_CELL_WIDTH, overflow="fold")
    for of in slope_tables(found):
        table.add_row(Text(f"{of['label']}, {of['unit']}", style="dim"))
        for row in of["rows"]:
            cells = [row["cells"][place] for place in shown]
            if any(cells):
                table.add_row(broken(row["trunk"], _NAME_WIDTH), *map(_cell, cells))
        table.add_section()
    return table


def _cell(cell: dict[str, str] | None) -> Text:
    if cell is None:
        return Text("")
    text = Text(cell["value"], style="bold")
    if cell["slope"]:
        text.append(f"\n{cell['slope']}", style="not bold")
        text.append(f"\n{cell['interval']}", style="not bold dim")
    return text


def print_pareto(console: Console, found: Pareto | None, *, width: int) -> None:
    """Prints a line per variant: both values, and its place."""
    if found is None:
        return
    names = axis_labels(found)
    console.print(Text(f"\nPareto front: {' against '.join(names)}", style="bold"))
    for row in pareto_rows(found):
        variants = ", ".join(filter(None, [row["variant"], row["others"]]))
        values = " and ".join(
            f"{name} {value}" for name, (value, _) in zip(names, row["cells"], strict=True)
        )
        console.print(Text(f"{variants}: {row['place']}; {values}"), width=width)
