"""Starts workers on this host, with files for their output and their stacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.log_file import open_log
from codepretrain.launch.gang import describe, process_id, worker_arguments, worker_environment
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.log_copies import LogCopies
from codepretrain.launch.records import Attempt
from codepretrain.launch.worker import Worker


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a supervisor works.

    command: what runs `codepretrain`. scratch: a local folder for the output of workers where the
    folder of the job cannot hold it. environment: the supervisor's own.
    """

    host: int
    command: Sequence[str]
    scratch: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    period_s: float = 1.0
    tick_s: float = 0.1


class WorkerStarter:
    """Starts the worker of this host for an attempt."""

    def __init__(
        self,
        folder: JobFolder,
        job: Job,
        settings: Settings,
        *,
        logs: LogCopies,
        note: Callable[[str], None],
        now_s: Callable[[], float],
    ) -> None:
        self._folder, self._job, self._settings = folder, job, settings
        self._logs, self._note, self._now_s = logs, note, now_s

    def start(self, attempt: Attempt) -> Worker:
        """Starts a worker.

        Raises:
          OSError: the system cannot.
          UserError: its output cannot be written.
        """
        host = self._settings.host
        process = process_id(attempt, host)
        arguments = worker_arguments(self._job, attempt, host)
        worker = Worker(
            attempt,
            [*self._settings.command, *arguments],
            worker_environment(self._job, attempt, host, base=self._settings.environment),
            log=self._file(self._folder.log(attempt.id, process)),
            stacks=self._file(self._folder.stacks(attempt.id, process)),
            now_s=self._now_s,
        )
        self._note(f"{attempt.id}: started process {worker.pid}: {describe(arguments)}")
        return worker

    def _file(self, path: storage.StrPath) -> Path | None:
        """Returns the local file that stands for a file of the job, None if there is no room."""
        scratch = self._settings.scratch / "-".join(Path(path).parts[-3:])
        places = [Path(path), scratch] if storage.is_local(path) else [scratch]
        for place in places:
            try:
                open_log(place).close()
            except UserError as error:
                self._note(str(error))
                continue
            if place == scratch:
                self._logs.add(place, storage.parse(path))
            return place
        return None
