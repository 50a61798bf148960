"""The status of a job in a terminal, from 80 columns on."""

from collections.abc import Iterable

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
    is_wide = width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=_PADDING, show_edge=False)
    table.add_column("stage", overflow="fold", min_width=16)
    table.add_column("state", no_wrap=True)
    names = ["step", *(["tokens"] if is_wide else []), "loss", "MFU", "goodput", "left", "tries"]
    names += ["chip-h", "price", "failures"] if is_wide else ["chip-h"]
    for name in names:
        table.add_column(name, justify="left" if name == "failures" else "right", no_wrap=True)
    for stage in status.stages:
        loss = w.NOTHING if stage.loss is None else f"{stage.loss:.3f}"
        cells = [
            w.steps(stage),
            *([w.large(stage.tokens)] if is_wide else []),
            loss,
            w.percent(stage.mfu),
            w.percent(stage.goodput),
            w.duration(stage.left_s),
            str(stage.attempts),
            w.hours(stage.cost.chip_hours),
        ]
        if is_wide:
            cells += [w.price(stage.cost.price), w.failures(stage.failures)]
        table.add_row(stage.name, _colored(stage.state), *cells)
    return table


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
