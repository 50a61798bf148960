"""Accounts for the time of a process: every moment belongs to exactly one kind."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from codepretrain.files.storage import MissingFileError, read_text
from codepretrain.progress_pipe import PROGRESS

TIME_KINDS = (
    "start",  # imports, joining the other processes, opening the study and its data
    "restore",  # reading a checkpoint, or making the first parameters
    "rebuild",  # training a parent again up to a checkpoint that was not kept
    "compile",
    "train",
    "wait_for_data",
    "evaluate",
    "save",
    "program",  # everything else: logging, progress
)


class Stopwatch:
    """Charges time to kinds.

    `with watch.spent("save"):` charges "save" until the block ends. A block within it charges its
    own kind and interrupts the outer one. Time outside all blocks is "start". So the kinds always
    sum to the wall time.

        start           |------|
        restore                |---|
        program                    |-|      |-|    |--|            |---|
        train                                 |--| |  |--|  |--|
        wait_for_data                            |-|     |--|
        evaluate                                                |--|
        compile                      |------|                           → time

    Args:
      since: `time.perf_counter()` at the moment from which time is charged; now, if None.
    """

    def __init__(self, since: float | None = None) -> None:
        self._mark = time.perf_counter() if since is None else since
        self._kinds = ["start"]
        self._begin(self._mark)

    @contextmanager
    def spent(self, kind: str) -> Iterator[None]:
        """Charges the time within the block to `kind`, one of `TIME_KINDS`."""
        assert kind in TIME_KINDS, (kind, TIME_KINDS)
        self._charge()
        self._kinds.append(kind)
        PROGRESS.set_activity(kind)
        try:
            yield
        finally:
            self._charge()
            self._kinds.pop()
            PROGRESS.set_activity(self._kinds[-1])

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of this lap by kind, up to now; they sum to `wall_s`."""
        self._charge()
        return dict(self._seconds)

    @property
    def wall_s(self) -> float:
        """Seconds from the start of this lap to the last call of `seconds`."""
        return self._mark - self.lap_started

    def start_lap(self) -> None:
        """Starts a new lap: `seconds` counts from here on."""
        self._charge()
        self._begin(self._mark)

    def _begin(self, started: float) -> None:
        self.lap_started = started
        self._seconds = dict.fromkeys(TIME_KINDS, 0.0)

    def _charge(self) -> None:
        now = time.perf_counter()
        self._seconds[self._kinds[-1]] += now - self._mark
        self._mark = now


@cache
def process_stopwatch() -> Stopwatch:
    """Returns the stopwatch of this process, which was started when the process was created."""
    return Stopwatch(since=time.perf_counter() - _process_age_s())


def _process_age_s() -> float:
    """Returns the seconds since this process was created, 0.0 where the system does not provide it.

    Source: proc_pid_stat(5), field 22: ticks from the boot of the system to the start.
    """
    try:
        fields = read_text("/proc/self/stat").rpartition(")")[2].split()
    except MissingFileError:  # not Linux
        return 0.0
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return max(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 0.0)
