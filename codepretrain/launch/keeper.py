"""Keeps the machines of a job while it needs them: one keeper at a time, on any machine.

`keeper/.lease` is held by the keeper. It decides nothing about the job: if it ends, the hosts go
on, and `launch resume` starts another one. On GKE there is none: JobSet restarts pods.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.lease import expiring
from codepretrain.launch import record_files
from codepretrain.launch.events import EventReader, EventWriter, counts, utc
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder

TTL_S = 15.0
PERIOD_S = 1.0


class Machines(Protocol):
    """The machines of a job."""

    def tick(self, *, is_over: bool, now: float) -> bool:
        """Starts what is missing; once the job is over, ends what is left.

        Returns whether nothing is left of a job that is over.
        """


class Record(Protocol):
    """What writes an event into the record of a job."""

    def __call__(self, event: str, **fields: str) -> None: ...


Note = Callable[[str], None]


def keep(
    folder: JobFolder,
    make: Callable[[Record], Machines],
    *,
    is_leaving: Callable[[], bool],
    note: Note,
    period_s: float = PERIOD_S,
) -> None:
    """Keeps the machines of a job until it is over and they are gone, or this process is to leave.

    Args:
      make: makes the machines, given what writes events.
      note: takes a line for the keeper's own output.

    Raises:
      InUseError: another keeper is alive.
    """
    with (
        expiring(keeper_folder(folder), ttl_s=TTL_S, announce=note) as lease,
        closing(_Recorder(folder, note)) as record,
    ):
        watch = OrdersWatch(folder)
        machines = make(record)
        while not machines.tick(is_over=watch.is_over(), now=time.monotonic()):
            if is_leaving():
                note("leaves; the job goes on without it")
                return
            lease.check()
            time.sleep(period_s)
        note("the job is over, and its machines are gone")


def keeper_folder(folder: JobFolder) -> epath.Path:
    return folder.path / "keeper"


def log_file(folder: JobFolder, name: str, number: int) -> Path:
    """Returns the local file for the output of a process that serves a job."""
    path = folder.log(name, number)
    if "://" not in str(path):
        return Path(path)
    return Path(tempfile.gettempdir()) / f"codepretrain-{folder.path.name}-{name}-{number}.log"


class OrdersWatch:
    """Says whether a job is over.

    Orders that were there at first may be those of a job that is being resumed: they do not count.
    """

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._first: tuple[int, bool] | None = None

    def is_over(self) -> bool:
        """Returns whether the newest orders say so; False while they cannot be read."""
        try:
            orders = record_files.read_orders(self._folder)
        except UserError:
            return False
        found = (0, False) if orders is None else (orders.term, orders.is_over)
        if self._first is None:
            self._first = found
        return found[1] and found != self._first


class _Recorder:
    """Writes events, and notes them; a storage that fails does not end a keeper."""

    def __init__(self, folder: JobFolder, note: Note) -> None:
        self._folder, self._note = folder, note
        self._writer: EventWriter | None = None
        self._reader = EventReader(folder.events)

    def __call__(self, event: str, **fields: str) -> None:
        self._note(fields.get("message") or " ".join([event, *fields.values()]))
        seen: dict[str, int] = {}
        try:
            if event == "state":  # clocks of hosts differ: what was known here is no matter of time
                seen = {"seen": sum(counts(self._reader.read()).values())}
            if self._writer is None:
                name = f"keeper-{int(1000 * time.time())}"
                self._writer = EventWriter(self._folder.events, name)
            self._writer.append([{"event": event, "time": utc(time.time()), **fields, **seen}])
        except UserError as error:
            self._note(f"{error}; the line above is not recorded")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def keeper_command(command: Sequence[str], job: Job) -> list[str]:
    """Returns the command of a keeper. command: what runs `codepretrain`."""
    return [*command, "launch", "keep", job.name, "--workdir", job.workdir]
