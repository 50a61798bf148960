"""What each host of a job does, and which one the others wait for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codepretrain.launch.job import Job
from codepretrain.launch.machine import WatchdogConfig
from codepretrain.launch.records import HostRecord, WorkerReport
from codepretrain.launch.states import JobState, Live
from codepretrain.launch.watchdog import behind, deadline_s

# Reports of two hosts are up to a period of a supervisor, and of its worker's pipe, apart.
_MIN_LAG_S = 5.0
_STALL = 0.5  # of the watchdog's deadline, before which a gang may well be compiling or saving


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the looking process has seen of the hosts.

    records: the newest. silent_s: since a record last changed. observed_s: since the first look.
    changed: hosts whose record has changed while it was watched. problems: what cannot be read.
    """

    records: Mapping[int, HostRecord] = field(default_factory=dict)
    silent_s: Mapping[int, float] = field(default_factory=dict)
    observed_s: float = 0.0
    changed: frozenset[int] = frozenset()
    problems: tuple[str, ...] = ()

    def reports(self, attempt: str | None) -> list[WorkerReport]:
        """Returns the reports of the workers of an attempt."""
        return [
            record.report
            for record in self.records.values()
            if record.attempt == attempt and attempt is not None and record.report is not None
        ]


@dataclass(frozen=True, kw_only=True)
class HostStatus:
    """A host.

    state: "absent" (no record), "silent" (no new beat since this process looks, which was long
    enough for one), "lost" (silent for longer than `watchdog.heartbeat_s`), "idle", "running",
    "ended", or "leaving" (its machine was told to leave). seen_s: since its last new beat; None if
    none was seen. idle_s: without progress. is_behind: the others wait for it, or it makes fewer
    steps. cause: of its worker's end.
    """

    host: int
    slice: int
    state: str
    attempt: str | None = None
    activity: str | None = None
    step: int | None = None
    idle_s: float | None = None
    step_s: float | None = None
    seen_s: float | None = None
    is_behind: bool = False
    cause: str | None = None
    message: str = ""


def host_statuses(job: Job, state: JobState, look: Look) -> tuple[HostStatus, ...]:
    """Returns every host of a job."""
    late = {
        host for live in state.live.values() for host in late_hosts(live, look, job.launch.watchdog)
    }
    return tuple(_host_status(job, state, look, host, is_behind=host in late) for host in job.hosts)


def late_hosts(live: Live, look: Look, config: WatchdogConfig) -> set[int]:
    """Returns the hosts of a gang that are behind.

    The one that the others wait for, if the whole gang is halfway to a deadline of the watchdog;
    else those that have made fewer steps than others, by more than the time between two reports
    explains.
    """
    reports = {
        host: record.report
        for host, record in look.records.items()
        if host in live.attempt.hosts
        and record.attempt == live.attempt.id
        and record.report is not None
        and record.is_running
    }
    if len(reports) < 2:
        return set()
    step_s = max((r.step_s for r in reports.values() if r.step_s is not None), default=0.0)
    if all(r.idle_s > _STALL * deadline_s(r.activity, config, step_s) for r in reports.values()):
        return {behind(reports)}
    first = max((r.step for r in reports.values() if r.step is not None), default=0)
    return {
        host
        for host, report in reports.items()
        if report.step is not None and first - report.step >= 2
        if (first - report.step) * step_s > _MIN_LAG_S
    }


def _host_status(
    job: Job, state: JobState, look: Look, host: int, *, is_behind: bool
) -> HostStatus:
    index = host // job.hosts_per_slice
    record = look.records.get(host)
    if record is None:
        return HostStatus(host=host, slice=index, state="absent")
    silent_s = look.silent_s.get(host, 0.0)
    report = record.report
    is_current = record.attempt in state.live
    return HostStatus(
        host=host,
        slice=index,
        state=_state(job, record, look, silent_s),
        attempt=record.attempt,
        activity=report.activity if report is not None and record.is_running else None,
        step=report.step if report is not None else None,
        idle_s=round(report.idle_s, 1) if report is not None and record.is_running else None,
        step_s=report.step_s if report is not None else None,
        seen_s=round(silent_s, 1) if host in look.changed else None,
        is_behind=is_behind and is_current,
        cause=record.end.cause if record.end is not None and not record.is_running else None,
        message=record.end.message if record.end is not None and not record.is_running else "",
    )


def _state(job: Job, record: HostRecord, look: Look, silent_s: float) -> str:
    if silent_s > job.launch.watchdog.heartbeat_s:
        return "lost"
    if record.host not in look.changed and look.observed_s > 0:
        return "silent"
    if record.is_preempted:
        return "leaving"
    if record.is_running:
        return "running"
    return "ended" if record.end is not None else "idle"
