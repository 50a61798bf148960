"""The evaluator's end of one sandboxed program: starts its supervisor and talks to it."""

import contextlib
import marshal
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from codepretrain.evals.sandbox import folder, memory_cgroup
from codepretrain.evals.sandbox.interpreter_files import InterpreterFiles, interpreter_files
from codepretrain.evals.sandbox.syscalls import filter_program

_ROOT = Path(__file__).resolve().parents[3]
_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from codepretrain.evals.sandbox import supervisor; supervisor.main()"
)
_LAUNCH_LIMIT_S = 60.0  # for our own part; a program's time starts when it does
_END_LIMIT_S = 10.0


class Supervised:
    """A program, started in its sandbox or refused.

    Attributes:
      ready: what the supervisor reported.
      input: a descriptor that writes to the program's standard input; None if that is empty.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        status: IO[bytes],
        input: int | None,
        remove_traces: Callable[[int], None],
    ) -> None:
        self._process = process
        self._remove_traces = remove_traces
        self._status = status
        self.input = input
        self.ready: Mapping[str, Any] = {}

    @property
    def outputs(self) -> tuple[int, int]:
        """Descriptors of the program's standard output and error."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return self._process.stdout.fileno(), self._process.stderr.fileno()

    @property
    def end(self) -> int:
        """A descriptor that is readable once the program has ended."""
        return self._status.fileno()

    def await_start(self) -> None:
        """Fills `ready`.

        Raises:
          RuntimeError: the supervisor did not answer.
        """
        message = self._receive(_LAUNCH_LIMIT_S)
        if message is None:
            self._kill_supervisor()
            assert self._process.stderr is not None
            reason = self._process.stderr.read().decode(errors="replace").strip()
            raise RuntimeError(f"the sandbox could not be set up: {reason or 'no answer'}")
        self.ready = message

    def await_end(self) -> Mapping[str, Any] | None:
        """Kills the program if it still runs; returns how it ended, None if nobody knows."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"k")
        message = self._receive(_END_LIMIT_S)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_LIMIT_S)  # it cleans up after the program
        return message

    def close(self) -> None:
        """Ends the remaining processes and cleans up."""
        if self._process.poll() is None:
            self.await_end()
        self._kill_supervisor()
        for pipe in (self._status, self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        if self.input is not None:
            os.close(self.input)
        if self._process.returncode:  # it may have ended before it could
            self._remove_traces(self._process.pid)

    def _receive(self, limit_s: float) -> Mapping[str, Any] | None:
        deadline = time.monotonic() + limit_s
        content = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                size = int.from_bytes(content[:4], "little") if len(content) >= 4 else None
                chunk = self._status.read(4 if size is None else 4 + size - len(content))
                if not chunk:
                    return None
                content += chunk
                if size is not None and len(content) == 4 + size:
                    return marshal.loads(content[4:])  # by the same interpreter
        return None

    def _kill_supervisor(self) -> None:
        """The program dies with it where the kernel or the supervisor's group sees to it."""
        if self._process.poll() is None:
            # macOS answers "not permitted" for a zombie.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextlib.contextmanager
def supervised(
    program: bytes,
    *,
    limits: Mapping[str, Any],
    layers: Sequence[str],
    required: Sequence[str],
    has_input: bool = False,
) -> Iterator[Supervised]:
    """Starts a program; yields once it runs or was refused. Cleans up after it.

    Args:
      has_input: the program's standard input is a pipe (`Supervised.input`); otherwise it is empty.
    """
    files = interpreter_files()
    read_fd, write_fd = os.pipe()
    input_read, input_write = os.pipe() if has_input else (None, None)
    passed = [write_fd] if input_read is None else [write_fd, input_read]
    specification = {
        **_machine(files),
        "program": program,
        "limits": dict(limits),
        "layers": list(layers),
        "required": list(required),
        "parent": os.getpid(),
        "status_fd": write_fd,
        "input_fd": input_read,
        "token": os.urandom(8).hex(),  # the names of what it makes are known before it says them
    }
    try:
        process = subprocess.Popen(
            [files.interpreter, "-I", "-S", "-c", _START, str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={},
            pass_fds=passed,
            start_new_session=True,
        )
    except BaseException:
        for descriptor in (read_fd, input_write):
            if descriptor is not None:
                os.close(descriptor)
        raise
    finally:
        for descriptor in passed:
            os.close(descriptor)
    run = Supervised(
        process, os.fdopen(read_fd, "rb", buffering=0), input_write, _traces_of(specification)
    )
    try:
        content = marshal.dumps(specification)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `await_start` says why
            _write_all(process.stdin.fileno(), len(content).to_bytes(8, "little") + content)
        run.await_start()
        yield run
    finally:
        run.close()


def _traces_of(specification: Mapping[str, Any]) -> Callable[[int], None]:
    """Returns what removes the program's directory and cgroup, given the supervisor's number."""

    def remove(pid: int) -> None:
        token = specification["token"]
        with contextlib.suppress(OSError):
            folder.remove(folder.path_of(specification["temporary"], pid, token))
        if "memory_cgroup" in specification["layers"]:
            with contextlib.suppress(OSError):  # no cgroups here
                for path in memory_cgroup.possible_paths(pid, token)[1]:
                    memory_cgroup.remove(path)

    return remove


def _machine(files: InterpreterFiles) -> dict[str, Any]:
    """Returns the part of the specification that is the same for every program."""
    return {
        "interpreter": files.interpreter,
        "readable": list(files.readable),
        "links": list(files.links),
        "hidden": list(files.hidden),
        "as_nobody": os.geteuid() == 0 and files.public,
        "filter": filter_program(),
        "temporary": os.path.realpath(tempfile.gettempdir()),
    }


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
