"""What became of each attempt of a job, from its events.

    attempt ── running ── resumed ── first_step ── saved … ── closing ── end
       │ start    │ restore   │ compile   │ train                │ end     │

A process that conducts writes all these events, with times that never go back; no clock of another
host is involved. An attempt that has not ended is known up to its newest event.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from codepretrain.launch.events import Event, seconds

# Of an attempt's time, in the order in which they come.
PARTS = ("start", "restore", "compile", "train", "stall", "end")


@dataclass(frozen=True, kw_only=True)
class AttemptHistory:
    """One attempt.

    Times are UTC in seconds, None for what has not happened. newest_s: of its newest event.
    saves: time and step of each checkpoint. chip_seconds: as measured. silent_s: without progress,
    or without a sign of life, when it was given up. facts: of its last logged step.
    """

    id: str
    stage: str
    number: int
    hosts: tuple[int, ...]
    started_s: float
    newest_s: float
    running_s: float | None = None
    resumed_s: float | None = None
    resumed_step: int | None = None
    expected_step: int | None = None
    first_step_s: float | None = None
    first_step: int | None = None
    saves: tuple[tuple[float, int], ...] = ()
    closing_s: float | None = None
    silent_s: float = 0.0
    chip_seconds: float = 0.0
    ended_s: float | None = None
    cause: str | None = None
    host: int | None = None
    message: str = ""
    last_step: int | None = None
    lost_steps: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_steps(self) -> int:
        """Steps that it is known to have made."""
        start = self.resumed_step or 0
        known = [self.last_step, self.first_step, *(step for _, step in self.saves[-1:])]
        return max(0, max((s for s in known if s is not None), default=start) - start)

    def parts(self) -> dict[str, float]:
        """Returns its seconds by `PARTS`; they sum to the time up to its newest event."""
        end_s = self.newest_s if self.ended_s is None else self.ended_s
        close_s = end_s if self.closing_s is None else self.closing_s
        starts = (self.started_s, self.running_s, self.resumed_s, self.first_step_s)
        found, until = {"end": end_s - close_s}, close_s
        for name, since in reversed(list(zip(PARTS, starts, strict=False))):
            found[name] = 0.0 if since is None else max(0.0, until - since)
            until = until if since is None else min(until, since)
        last = next((n for n in reversed(PARTS[:4]) if found[n]), "start")
        found["stall"] = min(self.silent_s, found[last])
        found[last] -= found["stall"]
        return {name: round(found[name], 3) for name in PARTS}


def attempts_of(events: Iterable[Event]) -> dict[str, AttemptHistory]:
    """Returns the attempts of a job by id, in the order in which they started.

    Args:
      events: of `read_events`, which `fold_events` accepts.
    """
    found: dict[str, AttemptHistory] = {}
    saves: dict[str, list[tuple[float, int]]] = {}
    newest: dict[str, str] = {}
    for event in events:
        kind, name = event["event"], event.get("attempt")
        if kind == "attempt":
            found[event["attempt"]] = _started(event)
        elif name in found:
            newest[name] = max(newest.get(name, ""), event["time"])
            if kind == "saved":
                saves.setdefault(name, []).append((seconds(event["time"]), event["step"]))
            elif kind in _STEPS:
                found[name] = _STEPS[kind](found[name], event)
    return _with_lost_steps(
        {
            name: replace(
                known,
                saves=tuple(saves.get(name, ())),
                newest_s=max(known.newest_s, seconds(newest[name]))
                if name in newest
                else known.newest_s,
            )
            for name, known in found.items()
        }
    )


def _with_lost_steps(found: Mapping[str, AttemptHistory]) -> dict[str, AttemptHistory]:
    """Returns attempts that have lost the steps that later ones have made again.

    A checkpoint may have been saved and not reported, and one that counted may be lost later. Until
    a stage is resumed, an attempt has lost what its end says. One that resumed too early
    was ended for that: none of its steps count.
    """
    again_from: dict[str, int] = {}
    settled = dict(found)
    for name, known in reversed(list(found.items())):
        start, step = known.resumed_step, again_from.get(known.stage)
        if start is None:
            continue
        if known.expected_step is not None and start < known.expected_step:
            settled[name] = replace(known, lost_steps=known.num_steps)
            continue
        if step is not None:
            lost_steps = max(0, start + known.num_steps - max(start, step))
            settled[name] = replace(known, lost_steps=lost_steps)
        again_from[known.stage] = start if step is None else min(start, step)
    return settled


def _started(event: Event) -> AttemptHistory:
    record, now_s = event["record"], seconds(event["time"])
    return AttemptHistory(
        id=record["id"],
        stage=record["stage"],
        number=record["number"],
        hosts=tuple(record["hosts"]),
        started_s=now_s,
        newest_s=now_s,
        expected_step=record["expected_step"],
    )


def _running(known: AttemptHistory, event: Event) -> AttemptHistory:
    return replace(known, running_s=seconds(event["time"]))


def _resumed(known: AttemptHistory, event: Event) -> AttemptHistory:
    return replace(known, resumed_s=seconds(event["time"]), resumed_step=event["step"])


def _first_step(known: AttemptHistory, event: Event) -> AttemptHistory:
    return replace(known, first_step_s=seconds(event["time"]), first_step=event["step"])


def _closing(known: AttemptHistory, event: Event) -> AttemptHistory:
    return replace(known, closing_s=known.closing_s or seconds(event["time"]))


def _silence(known: AttemptHistory, event: Event) -> AttemptHistory:
    if known.closing_s is not None:
        return known
    silent_s: float = event["idle_s"] if event["event"] == "hang" else event["silent_s"]
    return replace(known, silent_s=max(known.silent_s, silent_s))


def _chip_hours(known: AttemptHistory, event: Event) -> AttemptHistory:
    return replace(known, chip_seconds=known.chip_seconds + event["chip_seconds"])


def _ended(known: AttemptHistory, event: Event) -> AttemptHistory:
    return replace(
        known,
        ended_s=seconds(event["time"]),
        cause=event["cause"],
        host=event["host"],
        message=event["message"],
        last_step=event["step"],
        lost_steps=event["lost_steps"],
        facts=event.get("facts", {}),
    )


_STEPS = {
    "running": _running,
    "resumed": _resumed,
    "first_step": _first_step,
    "closing": _closing,
    "hang": _silence,
    "lost_host": _silence,
    "chip_hours": _chip_hours,
    "end": _ended,
}
