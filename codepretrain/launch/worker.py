"""One worker: a process of its own group, with its output, its progress pipe and its end.

    running ── end ──→ SIGTERM ── grace over ──→ SIGKILL
       └────── kill ─→ SIGUSR1 ── stacks written, or `_STACKS_S` over ──→ SIGKILL

SIGKILL goes to the whole group. Nothing here waits: `tick` does what is due.

The system kills the worker when the thread that started it ends (PR_SET_PDEATHSIG, which the worker
asks for itself), so a `Worker` is made in the supervisor's main thread.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codepretrain.errors import UserError
from codepretrain.files.log_file import last_line, log_size, open_log
from codepretrain.files.storage import read_text
from codepretrain.launch.cgroup import num_oom_kills
from codepretrain.launch.exits import signal_number, worker_end
from codepretrain.launch.records import Attempt, End, WorkerReport
from codepretrain.launch.report_reader import ReportReader

SUPERVISOR = "CODEPRETRAIN_SUPERVISOR"
PROGRESS_FD = "CODEPRETRAIN_PROGRESS_FD"
STACKS = "CODEPRETRAIN_STACKS"
_STACKS_S = 2.0  # for a process that does not write them: it is stopped, or has just started


class Worker:
    """A worker that has been started.

    Attributes:
      attempt: what it works on.
      log: the file of its output, None if it has none.
      stacks: the file of its stacks, None if it has none.
      is_to_be_killed, is_killed: `kill` was called; SIGKILL was sent.
    """

    def __init__(
        self,
        attempt: Attempt,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        log: Path | None,
        stacks: Path | None,
        now_s: Callable[[], float],
    ) -> None:
        """Starts it. Raises OSError if the system cannot."""
        self.attempt, self.log, self.stacks = attempt, log, stacks
        self._now_s = now_s
        self._num_oom_kills = num_oom_kills()
        self._ends_s: float | None = None  # when it is to be killed
        self._is_dumping = False
        self._stacks_size = 0
        self._is_terminated = False
        self.is_to_be_killed = self.is_killed = False
        self._reported: End | None = None  # before it was killed
        reading, writing = os.pipe()
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, writing)
                output = subprocess.DEVNULL if log is None else stack.enter_context(open_log(log))
                own = {SUPERVISOR: str(os.getpid()), PROGRESS_FD: str(writing)}
                if stacks is not None:
                    own[STACKS] = str(stacks)
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[writing],
                    process_group=0,
                    env={**environment, **own},
                )
        except BaseException:
            os.close(reading)
            raise
        self.reader = ReportReader(reading, now_s=now_s)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def report(self) -> WorkerReport | None:
        return self.reader.report

    def end(self, grace_s: float) -> None:
        """Asks it to save and end; it is killed when it has not after `grace_s`."""
        limit_s = self._now_s() + grace_s
        self._ends_s = limit_s if self._ends_s is None else min(self._ends_s, limit_s)
        if not self._is_terminated:
            self._is_terminated = True
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Has it write its stacks, and kills its group."""
        if self.is_to_be_killed:
            return
        self.is_to_be_killed = True
        self._ends_s = self._now_s()
        if self.stacks is not None and _catches(self.pid, signal.SIGUSR1):
            self._is_dumping = True
            self._stacks_size = log_size(self.stacks)
            self._ends_s += _STACKS_S
            self._signal(signal.SIGUSR1)

    def tick(self) -> int | None:
        """Does what is due. Returns the exit code, minus the signal, once it has ended."""
        self.reader.read()
        if _has_exited(self.pid):
            # The rest of its group is killed while its pid, not yet reaped, cannot be another's.
            self._signal_group(signal.SIGKILL)
            code = self._process.wait()
            self.reader.read()
            self.reader.close()
            return code
        if self._ends_s is not None and not self.is_killed:
            has_written = self._is_dumping and log_size(self.stacks or "") > self._stacks_size
            if self._is_dumping and has_written:
                # The stacks are written within milliseconds: the next tick finds them whole.
                self._is_dumping, self._ends_s = False, self._now_s()
            elif self._now_s() >= self._ends_s:
                self._reported = self.reader.end
                self.is_killed = True
                self._signal_group(signal.SIGKILL)
        return None

    def how_it_ended(self, code: int, *, is_preempted: bool) -> End:
        """Returns how it ended, given what `tick` returned.

        Args:
          is_preempted: the machine was told to leave.
        """
        reported = self._reported if self.is_killed else self.reader.end
        has_oom_kill = signal_number(code) == signal.SIGKILL and not self.is_killed
        return worker_end(
            code,
            reported=reported,
            has_oom_kill=has_oom_kill and num_oom_kills() > self._num_oom_kills,
            # One that had told its end by itself did not end by the order.
            is_killed_by_order=self.is_killed and reported is None,
            is_preempted=is_preempted,
            message="" if self.log is None else last_line(self.log),
            step=self.reader.step,
        )

    def close(self) -> None:
        """Kills the group and waits for the worker, for a supervisor that ends early."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self.reader.close()

    def _signal(self, number: signal.Signals) -> None:
        """Sends a signal; not by `Popen`, which would reap a process that has just ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _has_exited(pid: int) -> bool:
    """Returns whether a child has ended; it stays a zombie."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _catches(pid: int, number: signal.Signals) -> bool:
    """Returns whether a process has a handler for a signal and runs, so that it will handle it.

    Source: proc_pid_status(5): SigCgt, State. Where there is no such file: False.
    """
    try:
        fields = dict(
            line.split(":\t", 1) for line in read_text(f"/proc/{pid}/status").splitlines() if line
        )
        is_stopped = fields["State"][0] in "Tt"
        return not is_stopped and bool(int(fields["SigCgt"], 16) >> (number - 1) & 1)
    except (UserError, KeyError, ValueError):
        return False
