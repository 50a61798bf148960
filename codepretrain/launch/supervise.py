"""What `codepretrain launch host` does: one supervisor, which conducts when nobody else does."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codepretrain.errors import UserError
from codepretrain.files.scratch import scratch_folder
from codepretrain.files.storage import MissingFileError, is_local
from codepretrain.launch import record_files
from codepretrain.launch.conducting import Conducting
from codepretrain.launch.host_hold import held
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.supervisor import Supervisor
from codepretrain.launch.worker_start import Settings

# An object may be replaced once a second; a record and its retries must stay below that.
PERIOD_S, STORE_PERIOD_S = 1.0, 2.0
_RETRY_S = 2.0
_PATIENCE_S = 600.0  # with a storage that fails at the start
_LEAVE_S = 5.0


def supervise(
    folder: JobFolder,
    *,
    host: int,
    command: Sequence[str],
    environment: Mapping[str, str],
    signal_number: Callable[[], int],
    note: Callable[[str], None],
    period_s: float | None = None,
) -> None:
    """Supervises one host of a job until the job is over or a signal comes.

    Args:
      command: what runs `codepretrain`.
      environment: of this process; workers get it.
      signal_number: returns the number of the stop signal that came, 0 before.
      note: takes a line for the output.

    Raises:
      UserError: there is no such job or host, or another supervisor of this host is alive.
    """
    job = _job(folder, note=note, signal_number=signal_number)
    if job is None:
        return
    if host not in job.hosts:
        raise UserError(f"--host: expected 0 to {len(job.hosts) - 1}, got {host}")
    period_s = period_s or (PERIOD_S if is_local(folder.path) else STORE_PERIOD_S)
    scratch_name = f"codepretrain-{folder.path.name}-{host}"
    with (
        held(folder, host, announce=note) as hold,
        scratch_folder(Path(tempfile.gettempdir()), scratch_name) as scratch,
    ):
        settings = Settings(
            host=host, command=command, scratch=scratch, environment=environment, period_s=period_s
        )
        conducting = Conducting(folder, host=host, period_s=period_s, note=note)
        try:
            Supervisor(
                folder, job, settings, check=hold.check, signal_number=signal_number, note=note
            ).run()
        finally:
            conducting.leave(_LEAVE_S)


def _job(
    folder: JobFolder, *, note: Callable[[str], None], signal_number: Callable[[], int]
) -> Job | None:
    """Returns the job, None if a signal came before it could be read.

    A storage that cannot be reached when a host boots may be reached soon.
    """
    started_s = time.monotonic()
    while True:
        try:
            return record_files.read_job_record(folder)
        except MissingFileError:
            raise
        except UserError as error:
            if time.monotonic() - started_s > _PATIENCE_S:
                raise
            note(f"{error}; tries again")
        if signal_number():
            return None
        time.sleep(_RETRY_S)
