"""Whether a gang hangs, and which host is behind.

While one worker saves or evaluates, the others may wait for it in a collective operation. So a gang
hangs when each of its workers has been idle for longer than its own activity allows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codepretrain.launch.machine import WatchdogConfig
from codepretrain.launch.records import HostRecord, WorkerReport

_DEADLINES = {
    "init": "init_s",
    "start": "init_s",
    "restore": "restore_s",
    "compile": "compile_s",
    "evaluate": "evaluate_s",
    "save": "save_s",
}
_ORDER = ("init", "start", "restore", "rebuild", "compile")  # then the loop


@dataclass(frozen=True, kw_only=True)
class Hang:
    """A gang that makes no progress, and the host that is behind."""

    host: int
    activity: str
    idle_s: float
    deadline_s: float

    @property
    def message(self) -> str:
        return (
            f"host {self.host} is behind: no progress for {self.idle_s:.0f} s in {self.activity}, "
            f"expected some within {self.deadline_s:.0f} s"
        )


class StepTimes:
    """The median step time of each attempt that runs, as its workers report it."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._medians: dict[str, float] = {}

    def update(self, records: Iterable[HostRecord], attempts: Iterable[str]) -> None:
        """Notes what the worker that is ahead reports, and forgets other attempts."""
        known = set(attempts)
        for gone in self._steps.keys() - known:
            del self._steps[gone]
            del self._medians[gone]
        for record in records:
            report, attempt = record.report, record.attempt
            if report is None or attempt is None or attempt not in known:
                continue
            if report.step is None or report.step_s is None:
                continue
            if report.step > self._steps.get(attempt, -1):
                self._steps[attempt] = report.step
                self._medians[attempt] = report.step_s

    def medians(self) -> Mapping[str, float]:
        """Returns the median step time of each attempt that has made steps, in seconds."""
        return self._medians


def deadline_s(activity: str, config: WatchdogConfig, median_step_s: float | None) -> float:
    """Returns for how long an activity may make no progress."""
    field = _DEADLINES.get(activity)
    if field is not None:
        return getattr(config, field)
    return max(config.step_min_s, config.step_factor * (median_step_s or 0.0))


def find_hang(
    reports: Mapping[int, WorkerReport],
    *,
    config: WatchdogConfig,
    median_step_s: float | None,
) -> Hang | None:
    """Returns the hang of a gang, None if it makes progress.

    Args:
      reports: of the workers that have not ended. For a worker without a report: activity "init",
        idle since the start of the attempt.
    """
    limits = {
        host: deadline_s(report.activity, config, median_step_s) for host, report in reports.items()
    }
    if not reports or any(reports[host].idle_s <= limits[host] for host in reports):
        return None
    host = behind(reports)
    return Hang(
        host=host,
        activity=reports[host].activity,
        idle_s=reports[host].idle_s,
        deadline_s=limits[host],
    )


def behind(reports: Mapping[int, WorkerReport]) -> int:
    """Returns the host that the others wait for.

    It has made the fewest steps; then it is in an earlier activity, or in one that most others have
    left; then it has been idle for the longest.
    """
    step = min(_step(report) for report in reports.values())
    hosts = [host for host, report in reports.items() if _step(report) == step]
    stage = min(_position(reports[host].activity) for host in hosts)
    hosts = [host for host in hosts if _position(reports[host].activity) == stage]
    activities = [reports[host].activity for host in hosts]
    rarest = min(activities.count(activity) for activity in activities)
    hosts = [host for host in hosts if activities.count(reports[host].activity) == rarest]
    return max(hosts, key=lambda host: (reports[host].idle_s, -host))


def _step(report: WorkerReport) -> int:
    return -1 if report.step is None else report.step


def _position(activity: str) -> int:
    return _ORDER.index(activity) if activity in _ORDER else len(_ORDER)
