"""A decision in the making: the state with the events decided so far, and questions about hosts."""

from typing import Any

from codepretrain.launch.events import Event, utc
from codepretrain.launch.fold import fold
from codepretrain.launch.job import Job
from codepretrain.launch.records import HostRecord
from codepretrain.launch.sightings import Seen, View
from codepretrain.launch.states import JobState, Live


class Draft:
    """Collects events; `state` always includes them.

    Attributes:
      events: decided so far, without writer and number.
    """

    def __init__(self, state: JobState, job: Job, view: View, now_s: float) -> None:
        self.state = state
        self.job = job
        self.view = view
        self.now_s = now_s
        self.events: list[Event] = []

    def add(self, event: str, **fields: Any) -> None:
        """Decides an event."""
        record = {"event": event, "time": utc(self.now_s), **fields}
        self.state = fold(self.state, record)
        self.events.append(record)

    def close(
        self,
        live: Live,
        *,
        how: str,
        reason: str,
        cause: str | None = None,
        host: int | None = None,
        message: str = "",
    ) -> None:
        """Decides that a gang is to end."""
        ended = [h for h in live.attempt.hosts if self.has_ended(live, h)]
        fields = {"how": how, "reason": reason, "cause": cause, "host": host, "message": message}
        self.add("closing", attempt=live.attempt.id, **fields, ended=ended)

    def seen(self, host: int) -> Seen | None:
        return self.view.hosts.get(host)

    def record(self, live: Live, host: int) -> HostRecord | None:
        """Returns the record of a host of a gang, None if it is not about this attempt."""
        seen = self.seen(host)
        if seen is None or seen.record.attempt != live.attempt.id:
            return None
        return seen.record

    def has_ended(self, live: Live, host: int) -> bool:
        record = self.record(live, host)
        return record is not None and record.end is not None and not record.is_running

    def is_lost(self, host: int) -> bool:
        """Returns whether a host has been silent for too long."""
        return self.silent_s(host) > self.job.launch.watchdog.heartbeat_s

    def silent_s(self, host: int) -> float:
        seen = self.seen(host)
        return self.view.watched_s if seen is None else seen.silent_s

    def since_s(self, then_s: float) -> float:
        """Returns the seconds since an event, as far as this conductor has seen them pass.

        The event may have its time from the clock of another conductor's host.
        """
        return min(self.now_s - then_s, self.view.watched_s)

    def is_gone(self, live: Live, host: int) -> bool:
        """Returns whether a worker is gone without a report.

        Its supervisor was started again, or has obeyed other orders since: those of a conductor
        that had lost its lease.
        """
        seen = self.seen(host)
        if seen is None or self.has_ended(live, host):
            return False
        is_other = seen.record.attempt not in (live.attempt.id, live.before.get(host))
        return is_other or seen.record.boot != live.boots.get(host)

    def is_clear(self, live: Live, host: int) -> bool:
        """Returns whether a host runs no worker of a gang that is to end, and will start none."""
        seen = self.seen(host)
        if seen is None or self.is_lost(host) or self.has_ended(live, host):
            return True
        is_running = seen.record.is_running and seen.record.attempt == live.attempt.id
        is_told = live.closing is not None and live.closing.how != "wait"
        return is_told and seen.has_obeyed and not is_running

    def is_usable(self, host: int) -> bool:
        """Returns whether a worker can be started on a host."""
        seen = self.seen(host)
        if seen is None or not seen.is_ours or self.is_lost(host):
            return False
        return not seen.record.is_preempted and not seen.record.is_running

    def free_slices(self) -> list[int]:
        """Returns the slices without a gang all of whose hosts can take a worker."""
        used = {s for v in self.state.live.values() for s in self.job.slices_of(v.attempt.hosts)}
        return [
            index
            for index in range(self.job.num_slices)
            if index not in used and all(self.is_usable(h) for h in self.job.hosts_of(index))
        ]
