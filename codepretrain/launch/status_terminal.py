"""The status of a job in a terminal, from 80 columns on."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from codepretrain.launch import wording as w
from codepretrain.launch.host_status import HostStatus
from codepretrain.launch.status import JobStatus, StageStatus
from codepretrain.printable import printable

_WIDE = 118
_MAX_HOSTS = 24
_NUM_RECENT = 6
_PADDING = (0, 1, 0, 0)
_STAGE_WIDTH = 16
_GAP = 2  # between two columns: the padding, and the box
_ONLY_WIDE = ("tokens", "price", "failures")
_DISPENSABLE = ("failures", "goodput", "tries", "MFU", "tokens", "loss", "left")  # least first
_RIGHT = ("host", "step", "no progress", "step time")  # columns of numbers
_COLORS = {
    "RUNNING": "green",
    "DONE": "green",
    "running": "green",
    "FAILED": "red",
    "OVER_BUDGET": "red",
    "lost": "red",
    "silent": "red",
    "absent": "yellow",
    "RESTARTING": "yellow",
    "ENDING": "yellow",
    "STOPPED": "yellow",
    "leaving": "yellow",
}


def render(status: JobStatus, *, width: int) -> RenderableType:
    """Returns the status for a terminal of so many columns."""
    parts: list[RenderableType] = [_head(status), Text(""), _stages(status, width)]
    parts += [_note(line) for line in _stage_notes(status.stages, width)]
    if not status.is_over and any(host.state != "absent" for host in status.hosts):
        parts += [Text(""), _hosts(status, width)]
    parts += [Text(f"! {printable(problem)}", style="red") for problem in status.problems]
    if status.recent:
        parts += [Text(""), *(_event(e["time"], e["text"]) for e in status.recent[-_NUM_RECENT:])]
    return Group(*parts)


def _head(status: JobStatus) -> Text:
    text = Text()
    text.append(status.name, style="bold").append("  ")
    text.append(status.state, style=f"bold {_color(status.state)}")
    text.append(f" since {w.clock(status.since)} UTC" if status.since else "  not begun")
    if status.why:
        text.append(f"\n{printable(status.why)}")
    cost = status.cost
    planned = "" if not cost.expected_chip_hours else f" of {w.hours(cost.expected_chip_hours)}"
    price = "" if cost.price is None else f", price {w.price(cost.price)}"
    text.append(f"\nstudy {status.study or status.name} on {status.machine}", style="dim")
    text.append(f"\n{w.hours(cost.chip_hours)}{planned} chip-hours{price}", style="dim")
    if cost.productive_share is not None:
        text.append(f", {w.percent(cost.productive_share)} of them productive", style="dim")
    return text


def _stages(status: JobStatus, width: int) -> Table:
    states = [stage.state for stage in status.stages]
    columns = _fitting(
        _columns(status.stages, width), width - _STAGE_WIDTH - _GAP - _widest(states)
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=_PADDING, show_edge=False)
    table.add_column("stage", overflow="fold", min_width=_STAGE_WIDTH)
    table.add_column("state", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="left" if name == "failures" else "right", no_wrap=True)
    for stage, *cells in zip(status.stages, *columns.values(), strict=True):
        table.add_row(stage.name, _colored(stage.state), *cells)
    return table


def _columns(stages: Sequence[StageStatus], width: int) -> dict[str, list[str]]:
    """Returns the cells of each column of numbers, by its name."""
    columns = {
        "step": [w.steps(s) for s in stages],
        "tokens": [w.large(s.tokens) for s in stages],
        "loss": [w.NOTHING if s.loss is None else f"{s.loss:.3f}" for s in stages],
        "MFU": [w.percent(s.mfu) for s in stages],
        "goodput": [w.percent(s.goodput) for s in stages],
        "left": [w.duration(s.left_s) for s in stages],
        "tries": [str(s.attempts) for s in stages],
        "chip-h": [w.hours(s.cost.chip_hours) for s in stages],
        "price": [w.price(s.cost.price) for s in stages],
        "failures": [w.failures(s.failures) for s in stages],
    }
    return {k: v for k, v in columns.items() if width >= _WIDE or k not in _ONLY_WIDE}


def _fitting(columns: dict[str, list[str]], width: int) -> dict[str, list[str]]:
    """Returns the columns without as many of `_DISPENSABLE` as it takes to fit: none is cut off."""
    shown = dict(columns)
    for name in _DISPENSABLE:
        if sum(_GAP + _widest([head, *cells]) for head, cells in shown.items()) <= width:
            break
        shown.pop(name, None)
    return shown


def _widest(cells: Iterable[str]) -> int:
    return max((len(cell) for cell in cells), default=0)


def _stage_notes(stages: Iterable[StageStatus], width: int) -> list[str]:
    """Returns what is not in the table: fewer slices, failures, why a stage is in its state."""
    notes = []
    for stage in stages:
        said = [stage.on, *([] if width >= _WIDE else [w.failures(stage.failures)])]
        if stage.why and stage.state in ("RESTARTING", "FAILED", "STOPPED"):
            said.append(stage.why)
        words = "; ".join(filter(None, said))
        if words:
            notes.append(f"{stage.name}: {words}")
    return notes


def _hosts(status: JobStatus, width: int) -> Group:
    has_time = width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=_PADDING, show_edge=False)
    names = ("host", "state", "attempt", "doing", "step", "no progress")
    for name in (*names, *(["step time"] if has_time else []), "seen"):
        table.add_column(
            name,
            justify="right" if name in _RIGHT else "left",
            no_wrap=name != "attempt",
            overflow="fold" if name == "attempt" else "ellipsis",
        )
    table.add_column("", no_wrap=True)
    shown = shown_hosts(status.hosts, _MAX_HOSTS)
    for host in shown:
        table.add_row(
            str(host.host),
            _colored(host.state),
            host.attempt or w.NOTHING,
            (host.activity or host.cause or w.NOTHING).replace("_", " "),
            w.NOTHING if host.step is None else f"{host.step:,}",
            w.NOTHING if host.idle_s is None else w.duration(host.idle_s),
            *([w.step_time(host.step_s)] if has_time else []),
            w.seen(host, status.observed_s),
            Text(w.behind(host), style="bold red"),
        )
    left = len(status.hosts) - len(shown)
    return Group(table, *([_note(f"and {left} more hosts, like these")] if left else []))


def shown_hosts(hosts: tuple[HostStatus, ...], limit: int) -> list[HostStatus]:
    """Returns at most `limit` hosts, in order: first those with something to see."""
    if len(hosts) <= limit:
        return list(hosts)
    ordered = sorted(hosts, key=lambda h: (not h.is_behind, h.state == "running", h.host))
    return sorted(ordered[:limit], key=lambda h: h.host)


def _event(time: str, text: str) -> Text:
    line = Text(f"{w.clock(time)}  ", style="dim", overflow="ellipsis", no_wrap=True)
    return line.append(printable(text).replace("\n", " "), style="default")


def _note(text: str) -> Text:
    return Text(printable(text), style="dim")


def _colored(state: str) -> Text:
    return Text(state, style=_color(state))


def _color(state: str) -> str:
    return _COLORS.get(state, "default")
