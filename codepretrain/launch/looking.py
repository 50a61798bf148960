"""Looks at a job from outside: reads its files again and again, and changes nothing."""

import contextlib
import dataclasses
import time
from collections.abc import Callable

from codepretrain.errors import UserError
from codepretrain.files.object_lease import is_certainly_free
from codepretrain.files.storage import is_local
from codepretrain.launch import record_files
from codepretrain.launch.events import Event, EventReader
from codepretrain.launch.fold import fold_events
from codepretrain.launch.host_status import Look
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.keeper import keeper_folder
from codepretrain.launch.restart import resume_command
from codepretrain.launch.sightings import Sightings
from codepretrain.launch.states import JobState
from codepretrain.launch.status import JobStatus, status_of

_PERIOD_S = 0.5
_MAX_ELAPSED_S = 5.0  # of one look; more means that this process was suspended
# A supervisor writes its record every second, in an object store every other second.
_LOCAL_LOOK_S, _STORE_LOOK_S = 3.0, 6.0


class Looker:
    """Reads a job, and remembers with its own clock when the records of its hosts changed.

    Attributes:
      job: what it runs. events: as last read.
    """

    def __init__(
        self,
        folder: JobFolder,
        *,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Reads what the job runs. Raises UserError if job.json is damaged."""
        self._folder, self._steady, self._sleep = folder, steady, sleep
        self.job: Job = record_files.read_job_record(folder)
        self.events: list[Event] = []
        self._reader = EventReader(folder.events)
        self._sightings = Sightings(self.job.launch.watchdog.heartbeat_s)
        self._read_s: float | None = None

    def status(self) -> JobStatus:
        """Reads everything once, and returns the status.

        Raises:
          UserError: a file is damaged or cannot be read.
        """
        self.events = self._reader.read()
        status = status_of(self.job, self.events, self._look())
        if status.is_over or not self._lacks_keeper():
            return status
        problem = f"no keeper runs, so nothing replaces a machine: {resume_command(self.job)}"
        return dataclasses.replace(status, problems=(*status.problems, problem))

    def status_after_a_beat(self) -> JobStatus:
        """Returns the status once every host has been seen alive, or there was time for that."""
        status = self.status()
        limit_s = _LOCAL_LOOK_S if is_local(self._folder.path) else _STORE_LOOK_S
        begun_s = self._steady()
        while self._waits(status) and self._steady() - begun_s < limit_s:
            self._sleep(_PERIOD_S)
            status = self.status()
        return status

    def state(self) -> JobState:
        """Returns the state as of the events that were last read."""
        return fold_events(self.events)

    def _lacks_keeper(self) -> bool:
        if self.job.launch.machine.kind == "gke" or not self.events:
            return False  # it needs none; or `submit` is about to start it
        with contextlib.suppress(UserError):
            return is_certainly_free(keeper_folder(self._folder))
        return False

    def _waits(self, status: JobStatus) -> bool:
        if status.is_over:
            return False
        return any(host.state != "absent" and host.seen_s is None for host in status.hosts)

    def _look(self) -> Look:
        problems: list[str] = []
        now_s = self._steady()
        elapsed_s = 0.0 if self._read_s is None else min(now_s - self._read_s, _MAX_ELAPSED_S)
        self._read_s = now_s
        records = record_files.read_hosts(
            self._folder, self.job.hosts, on_error=lambda _, error: problems.append(str(error))
        )
        self._sightings.update(records, elapsed_s)
        seen = self._sightings.seen()
        return Look(
            records={host: found.record for host, found in seen.items()},
            silent_s={host: found.silent_s for host, found in seen.items()},
            observed_s=self._sightings.watched_s,
            changed=frozenset(host for host, found in seen.items() if found.has_beaten),
            problems=tuple(problems),
        )
