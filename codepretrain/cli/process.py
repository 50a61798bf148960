"""The process of a command: signals, exit codes, and the other processes of the run.

    0          done
    1          a defect of this program, with its traceback
    2          a user error, reported in one line; a disk that is full or not writable
    3          another process of the run was killed, hangs, or cannot be reached
    128 + n    stopped by signal n, with progress saved: 130 for Ctrl-C, 143 for SIGTERM

With several processes, all exit with the code of the first one to end. They exit through
`os._exit`, because JAX's own shutdown would wait for processes that are gone.
"""

import argparse
import contextlib
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from codepretrain import interrupt
from codepretrain.cli.cause import REFUSALS, Cause, cause_of
from codepretrain.cli.environment import import_jax, start_backend
from codepretrain.cli.flags import MAX_WORKERS, whole_number
from codepretrain.cli.join import HEARTBEAT_TIMEOUT_S, JOIN_TIMEOUT_S, check_same_timeout, join
from codepretrain.cli.output import PIPE_CODE, discard, finish, reader_is_gone, refusal_of_stdout
from codepretrain.errors import Interrupted, PeerStopped, UserError, described, one_line
from codepretrain.hardware.host_memory import has_accelerator, keep_freed_memory
from codepretrain.peer_watch import PERIOD_S, PeerWatch
from codepretrain.peers import Peers
from codepretrain.progress_pipe import PROGRESS

_TRAINING = ("run", "train", "evaluate", "serve")  # the commands that use the devices
_SAVING = ("run", "prepare", "train", "evaluate", "judge")  # what they have done is not done again
CHILD = "CODEPRETRAIN_CHILD"  # in the environment of a command that another one runs: its pid
# Environment variables that change what is computed, or how.
_RELEVANT = ("CUDA_", "JAX_", "LIBTPU_", "MEGASCALE_", "NCCL_", "NVIDIA_TF32", "TPU_", "XLA_")

_WAIT_FOR_ALL_S = 24 * 3600.0  # process 0 writes the report while the others are done
_WAIT_FOR_STOPPED_S = 60.0  # all have saved; process 0 closes its records
_WAIT_FOR_CAUSE_S = 2.0  # a collective operation fails at once when another process ends


class _Process:
    """How this process ends. `peers` and `peer_watch` are None on a single process."""

    def __init__(self, resume: str) -> None:
        self.resume = resume
        self.peers: Peers | None = None
        self.peer_watch: PeerWatch | None = None
        self._ends = threading.Lock()
        self._stderr = os.dup(2)  # it may be redirected while a library starts
        self._telling = threading.Lock()  # taken by the thread that tells, and kept

    def outcome(self, error: BaseException) -> tuple[int, str]:
        """Returns the exit code and the line to print for an exception; re-raises defects."""
        if isinstance(error, UserError):
            return 2, one_line(str(error))
        if isinstance(error, Interrupted):
            if CHILD in os.environ:
                return 128 + error.signal_number, ""  # the parent tells it
            return 128 + error.signal_number, self._stopped(error)
        if isinstance(error, PeerStopped):
            return error.exit_code, str(error)
        if isinstance(error, KeyboardInterrupt):
            return 128 + signal.SIGINT, f"stopped. To resume, run: {self.resume}"
        if isinstance(error, OSError) and error.errno in REFUSALS:
            return 2, one_line(f"{error.filename or 'a file'}: {error.strerror}")
        raise error

    def _stopped(self, error: Interrupted) -> str:
        if [*shlex.split(self.resume), ""][1] in _SAVING:
            return f"{error}. To resume, run: {self.resume}"
        return f"stopped. To start again, run: {self.resume}"

    def tell(self, message: str) -> None:
        """Prints a message on stderr, once."""
        if message and self._telling.acquire(blocking=False):
            with contextlib.suppress(OSError, ValueError):
                print(f"codepretrain: {message}", file=sys.stderr, flush=True)

    def end(self, error: BaseException) -> None:
        """Ends the process now, from any thread."""
        code, message = self.outcome(error)
        if message and self._telling.acquire(blocking=False):
            # Not by `tell`: the main thread may hold a lock of sys.stderr.
            os.write(self._stderr, f"codepretrain: {message}\n".encode(errors="replace"))
        self.leave(code, message, error)

    def close(self) -> None:
        os.close(self._stderr)

    def leave(self, code: int, message: str, error: BaseException | None) -> NoReturn:
        """Notifies the other processes, unless they know already, and ends this one."""
        with self._ends:  # the first thread to come here ends the process
            self.tell(message)
            cause = report_end(code, error, message).name
            if self.peer_watch is not None:
                self.peer_watch.stop()
            peers = self.peers
            if peers is not None:
                if code and peers.exit_message is None and not peers.has_agreed:
                    peers.announce_exit(code, message or f"ended with code {code}", cause=cause)
                peers.say_farewell()
            end_now(code)


_process: _Process | None = None


def run_command(argv: Sequence[str], command: Callable[[], int]) -> int:
    """Runs a command and returns its exit code; on several processes, ends the process instead."""
    global _process
    process = _process = _Process(shlex.join(["codepretrain", *argv]))
    failure: BaseException | None = None
    with contextlib.closing(process), interrupt.handling(end=process.end):
        PROGRESS.start()
        try:
            code, message = finish(command()), ""
        except BaseException as error:
            interrupt.leave()
            if reader_is_gone(error):
                discard(sys.stdout)
                code, message, failure = PIPE_CODE, "", error
            else:
                failure = _explained(
                    process, refusal_of_stdout(error) or interrupt.error() or error
                )
                code, message = _result(process, failure)
        interrupt.leave()
        process.tell(message)
        if process.peers is not None:
            if code == 0 or process.peers.has_agreed:
                process.peers.wait_for_all(_WAIT_FOR_STOPPED_S if code else _WAIT_FOR_ALL_S)
            process.leave(code, message, failure)
    report_end(code, failure, message)
    return code


def report_end(code: int, error: BaseException | None, message: str = "") -> Cause:
    """Tells the supervisor, if there is one, how this process ends; the first report counts.

    Returns the cause.
    """
    cause = cause_of(error if error is not None or not code else SystemExit(code))
    if isinstance(error, PeerStopped) and _process is not None and _process.peers is not None:
        cause = cause._replace(name=_process.peers.exit_cause or cause.name)
    if error is not None and not message:
        message = one_line(described(error))
    PROGRESS.end(code=code, cause=cause.name, is_cascade=cause.is_cascade, message=message)
    return cause


def _explained(process: _Process, error: BaseException) -> BaseException:
    """Returns the exception, or PeerStopped if another process is its cause."""
    if process.peers is None or isinstance(error, SystemExit | UserError | KeyboardInterrupt):
        return error
    cause = _cause(process.peers, process.peer_watch, error)
    return error if cause is None else PeerStopped(*cause)


def _result(process: _Process, error: BaseException) -> tuple[int, str]:
    """Returns the exit code and the message for a command's exception."""
    if process.peers is None:
        return process.outcome(error)
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else 1), ""
    try:
        return process.outcome(error)
    except BaseException:
        traceback.print_exception(error)
        return 1, f"{type(error).__name__}: {error}"[:2000]


def _cause(peers: Peers, watch: PeerWatch | None, error: BaseException) -> tuple[int, str] | None:
    """Returns exit code and message if another process is the cause of an error of this one.

    A collective operation fails at once when another process is killed. So it takes until every
    other process has shown that it is alive, or until one of them counts as lost.
    """
    counters = watch.counters() if watch is not None else {}
    cause = peers.wait_for_exit_message(_WAIT_FOR_CAUSE_S)
    if watch is not None and isinstance(error, RuntimeError):  # JAX's errors are RuntimeErrors
        while cause is None and watch.is_any_silent(counters):
            cause = peers.wait_for_exit_message(PERIOD_S)
    return cause


def end_now(code: int) -> NoReturn:
    """Flushes the output and exits without Python's own shutdown."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def add_machine_flags(command: argparse.ArgumentParser) -> None:
    """Adds the flags that `start_machine` reads."""
    group = command.add_argument_group("machine")
    group.add_argument("--distributed", action="store_true", help="join the pod's other hosts")
    group.add_argument("--coordinator", help="host:port of process 0, where it is not discovered")
    group.add_argument("--num-processes", type=whole_number(1), help="processes of the run")
    group.add_argument("--process-id", type=whole_number(0), help="of this process")
    group.add_argument(
        "--cpu-devices",
        type=whole_number(1, MAX_WORKERS),
        help="use this many CPU devices as a small pod",
    )
    group.add_argument(
        "--join-timeout-s",
        type=whole_number(1, 24 * 3600),
        default=JOIN_TIMEOUT_S,
        help="seconds to wait at the start for the other processes (default: %(default)s)",
    )
    group.add_argument(
        "--heartbeat-timeout-s",
        type=whole_number(1, 24 * 3600),
        default=HEARTBEAT_TIMEOUT_S,
        help="seconds of silence after which a process counts as lost, the same in every process "
        "(default: %(default)s)",
    )


def prepare_memory(argv: Sequence[str]) -> None:
    """Sets up malloc for a command that trains on CPUs; call it before any thread is started."""
    on_cpus = any(argument.partition("=")[0] == "--cpu-devices" for argument in argv)
    if argv and argv[0] in _TRAINING and (on_cpus or not has_accelerator()):
        keep_freed_memory()


def start_machine(flags: argparse.Namespace) -> None:
    """Initializes JAX, with the other processes of the run if there are any."""
    jax = import_jax()
    if flags.cpu_devices is not None:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", flags.cpu_devices)
    if flags.distributed or flags.coordinator:
        assert _process is not None
        _process.peers, _process.peer_watch = join(flags, end=_process.end)
        if _process.peers is not None:
            check_same_timeout(flags)
    start_backend()
    interrupt.install()  # libtpu installs handlers of its own when it opens


def relevant_environment() -> Mapping[str, str]:
    """Returns the environment variables that may change a result or its speed."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_RELEVANT)}
