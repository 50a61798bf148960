"""The cost of a job in a terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from codepretrain.launch import wording as w
from codepretrain.launch.cost import Cost, JobCost

_OVERHEAD = ("start", "restore", "compile", "stall", "end")


def render(cost: JobCost) -> RenderableType:
    """Returns the table of stages and attempts, from 80 columns on."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("chip-hours", overflow="fold")
    for name in ("all", "planned", "productive", "repeated", "start", "compile", "other"):
        table.add_column(name, justify="right", no_wrap=True)
    has_price = cost.price_per_chip_hour is not None
    if has_price:
        table.add_column("price", justify="right", no_wrap=True)
    for name, stage in cost.stages.items():
        attempts = [a for a in cost.attempts if a.stage == name]
        table.add_row(name, *_cells(stage, has_price), style="bold" if len(attempts) > 1 else "")
        for attempt in attempts if len(attempts) > 1 else ():
            what = attempt.cause or "runs"
            label = f"  {attempt.attempt.rpartition('-')[2]} {what.replace('_', ' ')}"
            table.add_row(label, *_cells(attempt.cost, has_price))
    table.add_section()
    table.add_row("all", *_cells(cost.total, has_price), style="bold")
    return Group(table, Text(_summary(cost), style="dim"))


def _cells(cost: Cost, has_price: bool) -> list[str]:
    kinds = cost.by_kind
    return [
        w.hours(cost.chip_hours),
        w.hours(cost.expected_chip_hours),
        w.hours(kinds["productive"]),
        w.hours(kinds["repeated"]),
        w.hours(kinds["start"] + kinds["restore"]),
        w.hours(kinds["compile"]),
        w.hours(kinds["stall"] + kinds["end"]),
        *([w.price(cost.price)] if has_price else []),
    ]


def _summary(cost: JobCost) -> str:
    share = cost.total.productive_share
    lost = sum(attempt.lost_steps for attempt in cost.attempts)
    said = [f"job {cost.job} is {cost.state}"]
    if share is not None:
        said.append(f"{w.percent(share)} productive, {lost:,} steps lost")
    if cost.price_per_chip_hour is None:
        said.append("no price: config.cost.price_per_chip_hour is not set")
    said.append("start: with restore; other: without progress until noticed, and saving at the end")
    return "; ".join(said)
