"""The output of a job's processes: which files there are, and what was added to them.

    logs/<attempt>/<process>.log     a worker: process p is host hosts[p] of the attempt
    logs/hosts/<host>.log            a supervisor, where a keeper has started it
    logs/keeper/0.log                a keeper, likewise

In an object store a file is a copy that is replaced from time to time; of a long one the middle is
left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from etils import epath

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError, quoted
from codepretrain.files import storage
from codepretrain.launch.events import Event
from codepretrain.launch.history import AttemptHistory, attempts_of
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder

OTHERS = ("hosts", "keeper")  # folders of logs that are not of attempts


@dataclass
class Log:
    """A file of output. label: names its process. read: bytes that were returned so far."""

    label: str
    path: epath.Path
    read: int = 0
    pending: bytes = b""

    def new_lines(self, *, is_last: bool = False) -> list[str]:
        """Returns the lines that were added since the last call; none if there is no file yet.

        Args:
          is_last: also return a last line that is not finished.
        """
        try:
            size = storage.size(self.path)
            if size < self.read:  # of a copy from which more was left out
                self.read, self.pending = 0, b""
            added = storage.read_range(self.path, self.read, size) if size > self.read else b""
        except storage.MissingFileError:
            return []
        self.read = size
        *lines, self.pending = (self.pending + added).split(b"\n")
        if is_last and self.pending:
            lines, self.pending = [*lines, self.pending], b""
        # A progress bar returns to the start of its line: what it last showed is kept.
        return [line.decode(errors="replace").rstrip("\r").rpartition("\r")[2] for line in lines]


def find_logs(
    folder: JobFolder,
    job: Job,
    events: Sequence[Event],
    *,
    host: int | None = None,
    attempt: str | None = None,
    stage: str | None = None,
) -> tuple[str, list[Log]]:
    """Returns the name of an attempt and its logs; by default of the newest one.

    Args:
      host: only its log.
      attempt: an attempt's id, "hosts" for the supervisors, or "keeper".
      stage: the newest attempt of this stage.

    Raises:
      UserError: there is no such host, attempt, stage or log; says what there is, and why.
    """
    if host is not None and host not in job.hosts:
        raise UserError(f"--host: expected 0 to {len(job.hosts) - 1}, got {host}")
    if attempt in OTHERS:
        return attempt, _others(folder, attempt, host)
    known = _choose(folder, job, attempts_of(events), attempt=attempt, stage=stage)
    if host is not None and host not in known.hosts:
        hosts = _listed(str(number) for number in known.hosts)
        raise UserError(f"--host: {known.id} ran on hosts {hosts}, not on host {host}")
    logs = [
        Log(label=f"host {number}", path=folder.log(known.id, process))
        for process, number in enumerate(known.hosts)
        if host in (None, number)
    ]
    return known.id, logs


def check_there(folder: JobFolder, name: str, logs: Iterable[Log], events: Sequence[Event]) -> None:
    """Checks that one of the logs exists.

    Raises:
      UserError: none does; says why.
    """
    logs = list(logs)
    if any(storage.is_file(log.path) for log in logs):
        return
    known = attempts_of(events).get(name)
    where = logs[0].path if len(logs) == 1 else folder.path / "logs" / name
    if known is not None and known.cause is not None:
        why = f"it ended with {known.cause}: {known.message}" if known.message else known.cause
    elif storage.is_local(folder.path):
        why = "its workers have not started yet"
    else:
        why = "its workers have not started, or their output was not copied yet"
    raise UserError(f"{name} has no output in {where}: {why}")


def _others(folder: JobFolder, name: str, host: int | None) -> list[Log]:
    found = [n for n in storage.names(folder.path / "logs" / name) if n.endswith(".log")]
    numbers = sorted(int(n[:-4]) for n in found if n[:-4].isdigit())
    logs = [
        Log(label=f"{'host' if name == 'hosts' else name} {n}", path=folder.log(name, n))
        for n in numbers
        if host in (None, n)
    ]
    if not logs:
        raise UserError(
            f"there is no log of {'supervisors' if name == 'hosts' else 'a keeper'} in "
            f"{folder.path / 'logs' / name}: they run on other machines, which keep their output"
        )
    return logs


def _choose(
    folder: JobFolder,
    job: Job,
    attempts: dict[str, AttemptHistory],
    *,
    attempt: str | None,
    stage: str | None,
) -> AttemptHistory:
    if attempt is not None:
        if attempt not in attempts:
            names = [*attempts, *OTHERS]
            near = suggestion(attempt, names)
            there = near or f"; there are {_listed(names)}"
            raise UserError(f"--attempt: there is no attempt {quoted(attempt)}{there}")
        return attempts[attempt]
    if stage is not None and stage not in job.by_name:
        names = list(job.by_name)
        near = suggestion(stage, names) or f"; there are {_listed(names)}"
        raise UserError(f"--stage: there is no stage {quoted(stage)}{near}")
    found = [a for a in attempts.values() if stage in (None, a.stage)]
    if found:
        return found[-1]
    if not attempts:
        has_hosts = bool(storage.names(folder.hosts))
        why = (
            "its hosts are there, and none has been given work yet"
            if has_hosts
            else "none of its hosts has reported yet"
        )
        raise UserError(
            f"job {job.name} has started no attempt: {why} (codepretrain launch status {job.name})"
        )
    raise UserError(f"--stage: {stage} has not started yet; there are {_listed(attempts)}")


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found if len(found) <= 20 else ["…", *found[-20:]])
