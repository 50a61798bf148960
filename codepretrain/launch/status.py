"""What a job is doing: its state, its stages and its hosts, as plain data.

    job.json ── Job ──┐
    events ───────────┼── status_of ──→ JobStatus
    host records ─ Look ┘

Times are those of the events: UTC by the clock of the process that conducted. How long a host has
been silent is what the process that looks has observed with its own clock.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codepretrain.launch import elastic
from codepretrain.launch.cost import Cost, cost_of_attempts
from codepretrain.launch.events import Event, utc
from codepretrain.launch.fold import fold_events
from codepretrain.launch.history import AttemptHistory, attempts_of
from codepretrain.launch.host_status import HostStatus, Look, host_statuses
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.records import WorkerReport
from codepretrain.launch.states import JobState, Live, StageState

_FACTS = ("tokens", "loss", "mfu", "goodput", "tokens_per_s")
_TOLD = ("state", "end", "hang", "lost_host", "missing", "warning", "stage_failed", "keeper")
_NUM_RECENT = 12
_MIN_STEPS = 3  # of an attempt, before its median time per step says something


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """A stage.

    attempt: that runs now. step: the newest one known. saved_step: of its newest checkpoint.
    on: how it runs on fewer slices than there are, "" on all.
    failures: ended attempts by cause, without those that were done or asked to end. left_s: at the
    current time per step, without evaluations, saves and restarts; None if it does not run.
    """

    name: str
    phase: str | None
    state: str
    why: str
    since: str | None
    attempt: str | None
    on: str
    attempts: int
    failures: Mapping[str, int]
    step: int | None
    num_steps: int | None
    saved_step: int | None
    tokens: int | None
    total_tokens: int
    loss: float | None
    mfu: float | None
    goodput: float | None
    tokens_per_s: float | None
    step_s: float | None
    left_s: float | None
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job.

    chips: of the whole machine. observed_s: for how long the hosts were watched. recent: the newest
    events that say something, oldest first. problems: what could not be read.
    """

    name: str
    study: str
    machine: str
    chips: int
    state: str
    why: str
    since: str | None
    created_at: str
    is_over: bool
    stages: tuple[StageStatus, ...]
    hosts: tuple[HostStatus, ...]
    cost: Cost
    observed_s: float
    recent: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = field(default=())


def status_of(job: Job, events: Iterable[Event], look: Look) -> JobStatus:
    """Returns the status of a job.

    Args:
      events: of `read_events`.
      look: what was seen of the hosts.

    Raises:
      UserError: an event is damaged.
    """
    events = list(events)
    state, attempts = fold_events(events), attempts_of(events)
    cost = cost_of_attempts(job, state, attempts.values())
    lives = {live.attempt.stage: live for live in state.live.values()}
    return JobStatus(
        name=job.name,
        study=job.study,
        machine=_machine(job),
        chips=len(job.hosts) * job.chips_per_host,
        state=state.state,
        why=_why(state),
        since=utc(state.since_s) if events else None,
        created_at=job.created_at,
        is_over=not state.goes_on,
        stages=tuple(
            _stage_status(
                stage,
                state.stage(stage.name),
                attempt=_id(lives.get(stage.name)),
                on=_on(job, stage, lives.get(stage.name)),
                attempts=[a for a in attempts.values() if a.stage == stage.name],
                reports=look.reports(_id(lives.get(stage.name))),
                cost=cost.stages[stage.name],
            )
            for stage in job.stages
        ),
        hosts=host_statuses(job, state, look),
        cost=cost.total,
        observed_s=round(look.observed_s, 1),
        recent=tuple(_told(events, state)),
        problems=look.problems,
    )


def _why(state: JobState) -> str:
    """Returns why a job is in its state; of one that runs, the attempts that run now."""
    running = [live.attempt.id for live in state.live.values() if live.closing is None]
    return ", ".join(running) if running and state.state in ("STARTING", "RUNNING") else state.why


def _stage_status(
    stage: Stage,
    known: StageState,
    *,
    attempt: str | None,
    on: str,
    attempts: Sequence[AttemptHistory],
    reports: Sequence[WorkerReport],
    cost: Cost,
) -> StageStatus:
    own = [r for r in reports if r.facts.get("phase", stage.phase) == stage.phase]
    facts = _facts(own, attempts)
    is_done = known.state == "DONE"
    step = stage.num_steps if is_done else _step(own, known, attempts)
    step_s = _median([r.step_s for r in own if _is_timed(r)])
    left = None if stage.num_steps is None or step is None else max(0, stage.num_steps - step)
    ends = Counter(a.cause for a in attempts if a.cause not in (None, "done", "stopped"))
    return StageStatus(
        name=stage.name,
        phase=stage.phase,
        state=known.state,
        why="" if is_done else known.why,
        since=utc(known.since_s) if known.since_s else None,
        attempt=attempt,
        on=on,
        attempts=known.attempts,
        failures={str(cause): number for cause, number in sorted(ends.items())},
        step=step,
        num_steps=stage.num_steps,
        saved_step=known.saved_step,
        tokens=stage.tokens if is_done and stage.tokens else facts["tokens"],
        total_tokens=stage.tokens,
        step_s=step_s,
        left_s=None if left is None or step_s is None else left * step_s,
        cost=cost,
        **{name: facts[name] for name in _FACTS[1:]},
    )


def _id(live: Live | None) -> str | None:
    return None if live is None else live.attempt.id


def _on(job: Job, stage: Stage, live: Live | None) -> str:
    return "" if live is None else elastic.told(job, stage, live.num_slices)


def _facts(reports: Sequence[WorkerReport], attempts: Sequence[AttemptHistory]) -> dict[str, Any]:
    """Returns the facts of the newest logged step: by a worker, or by the last attempt's end."""
    found = [r.facts for r in sorted(reports, key=lambda r: r.step or 0) if "loss" in r.facts]
    known = found or [a.facts for a in attempts if a.facts]
    return {name: known[-1].get(name) if known else None for name in _FACTS}


def _step(
    reports: Sequence[WorkerReport], known: StageState, attempts: Sequence[AttemptHistory]
) -> int | None:
    steps = [report.step for report in reports if report.step is not None]
    if steps:
        return max(steps)
    resumed = attempts[-1].resumed_step if attempts and attempts[-1].cause is None else None
    return resumed if resumed is not None else known.last_step


def _is_timed(report: WorkerReport) -> bool:
    """Returns whether the time per step is not that of the first step, which compiles."""
    made = 0 if report.step is None else report.step - (report.resumed_step or 0)
    return made >= _MIN_STEPS


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def _told(events: Sequence[Event], state: JobState) -> list[dict[str, str]]:
    """Returns the newest events that a reader wants to know of, in words."""
    kept = [e for e in events if e["event"] in _TOLD or _is_on_fewer(e)][-_NUM_RECENT:]
    return [{"time": e["time"], "event": e["event"], "text": _words(e)} for e in kept]


def _is_on_fewer(event: Event) -> bool:
    return event["event"] == "attempt" and "message" in event


def _words(event: Event) -> str:
    kind = event["event"]
    if kind == "state":
        return f"{event['state']}: {event.get('why', '')}".rstrip(": ")
    if kind == "end":
        lost = f", {event['lost_steps']:,} steps lost" if event["lost_steps"] else ""
        at = "" if event["step"] is None else f" at step {event['step']:,}"
        said = f": {event['message']}" if event["message"] else ""
        return f"{event['attempt']} ended{at}, {event['cause']}{lost}{said}"
    if kind == "hang":
        what = f"no progress for {event['idle_s']:.0f} s in {event['activity']}"
        return f"{event['attempt']} hangs, host {event['host']} is behind: {what}"
    if kind == "lost_host":
        return f"host {event['host']} is lost: no sign of life for {event['silent_s']:.0f} s"
    if kind == "stage_failed":
        return f"{event['stage']} has failed: {event['why']}"
    if kind == "attempt":
        return f"{event['attempt']} starts {event['message']}"
    return str(event.get("message", ""))


def _machine(job: Job) -> str:
    machine = job.launch.machine
    if machine.topology is None:
        hosts, devices = len(job.hosts), job.chips_per_host
        plural = "s" if hosts > 1 else ""
        return f"local, {hosts} host{plural} × {devices} CPU device{'s' if devices > 1 else ''}"
    slices = f"{machine.num_slices} × " if machine.num_slices > 1 else ""
    return f"{machine.kind} {slices}{machine.topology}, {machine.capacity.replace('_', ' ')}"
