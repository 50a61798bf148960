"""The cost of a job in a terminal."""

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from codepretrain.launch import wording as w
from codepretrain.launch.cost import Cost, JobCost

# Columns of a terminal that has room for all kinds, and of one that has not.
_WIDE = 110
_KINDS: Mapping[str, tuple[str, ...]] = {
    "kept": ("productive",),
    "lost": ("repeated",),
    "start": ("start",),
    "restore": ("restore",),
    "compile": ("compile",),
    "stall": ("stall",),
    "end": ("end",),
}
_FEW_KINDS: Mapping[str, tuple[str, ...]] = {
    "kept": ("productive",),
    "lost": ("repeated",),
    "start": ("start", "restore", "compile"),
    "end": ("stall", "end"),
}


def render(cost: JobCost, *, width: int) -> RenderableType:
    """Returns the table of stages and attempts, from 80 columns on."""
    kinds = _KINDS if width >= _WIDE else _FEW_KINDS
    has_price = cost.price_per_chip_hour is not None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("chip-hours", overflow="fold", min_width=12)
    for name in ("all", "planned", *kinds, *(["price"] if has_price else [])):
        table.add_column(name, justify="right", no_wrap=True)

    def add(name: str, found: Cost, style: str = "") -> None:
        cells = [w.hours(found.chip_hours), w.hours(found.expected_chip_hours)]
        cells += [w.hours(sum(found.by_kind[k] for k in of)) for of in kinds.values()]
        cells += [w.price(found.price)] if has_price else []
        table.add_row(name, *cells, style=style)

    for name, stage in cost.stages.items():
        attempts = [a for a in cost.attempts if a.stage == name]
        add(name, stage)
        for attempt in attempts if len(attempts) > 1 else ():
            what = (attempt.cause or "runs").replace("_", " ")
            add(f"  {attempt.attempt.rpartition('-')[2]} {what}", attempt.cost, "dim")
    table.add_section()
    add("all", cost.total, "bold")
    return Group(table, Text(""), Text(_summary(cost), style="dim"))


def _summary(cost: JobCost) -> str:
    share = cost.total.productive_share
    lost = sum(attempt.lost_steps for attempt in cost.attempts)
    said = [f"job {cost.job} is {cost.state}"]
    if share is not None:
        said.append(f"{w.percent(share)} productive, {lost:,} steps lost")
    if cost.price_per_chip_hour is None:
        said.append("no price: config.cost.price_per_chip_hour is not set")
    said.append("machines that wait between two attempts are not counted")
    return "; ".join(said)
