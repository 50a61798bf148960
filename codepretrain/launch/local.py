"""The supervisors of a job on this machine: each in a session of its own, started again if it dies.

They outlive the keeper that started them. A new keeper finds those that are alive by their hold of
their host's number, and leaves them alone.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codepretrain.errors import UserError
from codepretrain.files.hold_errors import InUseError
from codepretrain.files.lease import exclusive
from codepretrain.files.log_file import last_line, open_log
from codepretrain.files.storage import read_text
from codepretrain.launch.host_hold import TTL_S, hold_folder
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.keeper import log_file
from codepretrain.launch.start_machines import host_arguments
from codepretrain.launch.troubles import EVENT_REMINDER_S, Troubles

_MIN_PAUSE_S, _MAX_PAUSE_S = 1.0, 60.0
_STABLE_S = 60.0  # a supervisor that lived that long had started well
_LOOK_S = 5.0  # between two looks at a supervisor that another keeper has started
_LEAVE_S = 60.0  # for supervisors to see that the job is over
_KILL_S = 30.0  # after SIGTERM and the grace of its worker, for a supervisor to end


@dataclass
class _Host:
    troubles: Troubles
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    pause_s: float = _MIN_PAUSE_S
    is_done: bool = False
    is_foreign: bool = False
    told_to_end_s: float | None = None
    is_killed: bool = False
    stopped_since_s: float | None = None


class LocalHosts:
    """The supervisors of a job on this machine.

    Args:
      command: what runs `codepretrain`. environment: of the supervisors.
      note: takes a line for the record of the job.
    """

    def __init__(
        self,
        folder: JobFolder,
        job: Job,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        note: Callable[[str], None],
    ) -> None:
        self._folder, self._job = folder, job
        self._command, self._environment, self._note = command, environment, note
        self._hosts = {
            host: _Host(Troubles(note, what=f"host {host}", reminder_s=EVENT_REMINDER_S))
            for host in job.hosts
        }
        self._over_s: float | None = None

    def tick(self, *, is_over: bool, now: float) -> bool:
        """Starts supervisors that are not alive; returns whether all have ended with the job."""
        if is_over and self._over_s is None:
            self._over_s = now
        for number, host in self._hosts.items():
            self._look(number, host, now)
            if is_over and self._over_s is not None and now - self._over_s > _LEAVE_S:
                self._end(number, host, now)
            if host.process is None and not host.is_done and not is_over and now >= host.due_s:
                self._start(number, host, now)
        if is_over:
            return all(host.process is None for host in self._hosts.values())
        return all(host.is_done for host in self._hosts.values())

    def pids(self) -> dict[int, int]:
        """Returns the process of each supervisor that this keeper has started."""
        return {n: host.process.pid for n, host in self._hosts.items() if host.process is not None}

    def _look(self, number: int, host: _Host, now: float) -> None:
        if host.process is None:
            return
        code = host.process.poll()
        if code is None:
            self._end_stopped(number, host, now)
            return
        host.process, host.stopped_since_s = None, None
        host.is_done = code == 0  # the job is over
        if host.is_done:
            return
        host.pause_s = (
            _MIN_PAUSE_S
            if now - host.started_s > _STABLE_S
            else min(2 * host.pause_s, _MAX_PAUSE_S)
        )
        host.due_s = now + host.pause_s
        words = last_line(log_file(self._folder, "hosts", number)) if code > 0 else ""
        self._note(
            f"the supervisor of host {number} ended with {code}{': ' if words else ''}{words}; "
            f"starts it again in {host.pause_s:.0f} s"
        )

    def _end_stopped(self, number: int, host: _Host, now: float) -> None:
        """Kills a supervisor that somebody has stopped: its host is lost, and holds its number."""
        assert host.process is not None
        if not _is_stopped(host.process.pid):
            host.stopped_since_s = None
            return
        host.stopped_since_s = now if host.stopped_since_s is None else host.stopped_since_s
        if now - host.stopped_since_s > 2 * self._job.launch.watchdog.heartbeat_s:
            self._note(f"the supervisor of host {number} is stopped (SIGSTOP): kills it")
            host.process.kill()

    def _end(self, number: int, host: _Host, now: float) -> None:
        """Ends a supervisor that stays: SIGTERM, and SIGKILL after the grace of its worker."""
        if host.process is None or host.is_killed:
            return
        if host.told_to_end_s is None:
            host.told_to_end_s = now
            self._note(f"the supervisor of host {number} does not end: SIGTERM")
            host.process.terminate()
        elif now - host.told_to_end_s > self._job.launch.watchdog.grace_s + _KILL_S:
            host.is_killed = True
            self._note(f"the supervisor of host {number} does not end: SIGKILL")
            host.process.kill()  # the system kills its worker with it

    def _start(self, number: int, host: _Host, now: float) -> None:
        host.due_s = now + _LOOK_S
        try:
            # The supervisor takes the hold itself: this only finds one of an earlier keeper.
            with exclusive(hold_folder(self._folder, number), ttl_s=TTL_S):
                pass
        except InUseError:
            if not host.is_foreign:
                self._note(f"host {number} has a supervisor already")
            host.is_foreign = True
            return
        except UserError as error:
            host.troubles.found([f"cannot start the supervisor of host {number}: {error}"], now)
            return
        command = [*self._command, *host_arguments(self._job, number)]
        try:
            with open_log(log_file(self._folder, "hosts", number)) as log:
                host.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(self._environment),
                    start_new_session=True,
                )
        except (OSError, UserError) as error:
            host.troubles.found([f"cannot start the supervisor of host {number}: {error}"], now)
            return
        host.troubles.found([], now)
        host.started_s, host.is_foreign = now, False
        self._note(f"started the supervisor of host {number}: process {host.process.pid}")


def _is_stopped(pid: int) -> bool:
    """Returns whether SIGSTOP or a debugger has stopped a process; False where nothing tells."""
    try:
        return read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] in "Tt"
    except (UserError, IndexError):
        return False


def start_detached(
    command: Sequence[str], folder: JobFolder, *, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a keeper in a session of its own, which outlives this process.

    Raises:
      UserError: its output cannot be written.
    """
    with open_log(log_file(folder, "keeper", 0)) as log:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
