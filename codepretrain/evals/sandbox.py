"""Runs Python text that nobody has read, such as what a model wrote, in a subprocess of its own.

Enforced everywhere: a fresh interpreter without site-packages; an empty environment and an empty
temporary working directory, removed afterwards; no input; its own session, killed as a whole at the
wall-clock limit; limits on CPU seconds, address space, the size of a file, and output.

Enforced where the kernel grants it, and named in `Execution.isolation` (`LAYERS` says what each one
gives): on Linux with user namespaces, Landlock and seccomp, all of it, without root. With less, a
program may do what the layers that are missing would have refused.

Never enforced: hiding that files exist (names and sizes outside can be asked for, contents cannot),
hiding the clock and the kernel's version, and use of a CPU's side channels. A program can claim
success by exiting with code 0; whoever runs one to test it must ask for more than an exit code.
"""

import contextlib
import functools
import marshal
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

LAYERS = {
    "limits": "limits on CPU time, memory, file size and open files",
    "namespaces": "no network; all its files together bounded in size; no rights over the machine",
    "capabilities": "no privileges of root",
    "landlock": "reads only the interpreter and system libraries, writes only its own directory",
    "seccomp": "no other process or thread, no sockets, no signals to other processes",
}
STATUSES = ("passed", "failed", "error", "timeout", "memory", "output")

_LAUNCHER = Path(__file__).with_name("sandbox_child.py")
_POLL_S = 0.01
_LAUNCH_LIMIT_S = 60.0  # for our own part; a program's time starts when it does
_TRACEBACK = b"Traceback (most recent call last):\n"
_SYSTEM_FOLDERS = ("/usr", "/lib", "/lib64", "/nix/store", "/gnu/store")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom")


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What one program may use. `disk_bytes` is bounded with namespaces, a file's size always."""

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    disk_bytes: int = 64 << 20
    output_bytes: int = 64 << 10


@dataclass(frozen=True)
class Execution:
    """What became of one program.

    status: "passed" (exit code 0), "failed" (an AssertionError ended it), "timeout" (wall clock or
    CPU), "memory" (a MemoryError ended it), "output" (it wrote more than the limit) or "error" (any
    other end). exit_code: minus the signal's number if one ended it. stdout, stderr: at most
    `output_bytes` each.
    """

    status: str
    exit_code: int
    stdout: bytes
    stderr: bytes
    wall_s: float
    isolation: tuple[str, ...]


@functools.cache
def sandbox_isolation() -> tuple[str, ...]:
    """Runs a harmless program; returns the layers (`LAYERS`) that this machine grants.

    Raises:
      RuntimeError: not even that program ran, so results of others would mean nothing.
    """
    execution = run_program("import datetime, json, math, random, re\nprint(math.comb(5, 2))")
    if execution.stdout != b"10\n":
        reason = execution.stderr.decode(errors="replace").strip() or execution.status
        raise RuntimeError(f"the sandbox does not run a harmless program: {reason}")
    return execution.isolation


def run_programs(
    programs: Sequence[str],
    *,
    limits: SandboxLimits = SandboxLimits(),
    num_workers: int | None = None,
) -> list[Execution]:
    """Runs each program, `num_workers` at a time (one per CPU); results in the programs' order."""
    with ThreadPoolExecutor(num_workers or os.cpu_count() or 1) as pool:
        return list(pool.map(lambda program: run_program(program, limits=limits), programs))


def run_program(
    program: str,
    *,
    limits: SandboxLimits = SandboxLimits(),
    layers: Sequence[str] = tuple(LAYERS),
) -> Execution:
    """Runs the text of one program as `__main__`.

    `layers`: which to try; fewer than all is for testing them one by one.

    Raises:
      RuntimeError: the sandbox itself could not be set up. Never for what the program does.
    """
    with tempfile.TemporaryDirectory(
        prefix="codepretrain-sandbox-", ignore_cleanup_errors=True
    ) as folder:
        directory = Path(folder).resolve()
        (directory / "work").mkdir()
        # Text of a model may hold lone surrogates; written as they are, they are a SyntaxError.
        (directory / "program.py").write_bytes(program.encode("utf-8", "surrogatepass"))
        process, status = _launch(directory, limits, layers)
        try:
            isolation = _await_launch(process, status)
            started = time.monotonic()
            end, stdout, stderr = _collect(process, limits)
            wall_s = time.monotonic() - started
        finally:
            _kill_group(process)
            status.close()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()
    exit_code = process.returncode
    return Execution(
        end or _status(exit_code, stderr), exit_code, stdout, stderr, wall_s, isolation
    )


def _launch(
    directory: Path, limits: SandboxLimits, layers: Sequence[str]
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    read_fd, write_fd = os.pipe()
    candidates = {sys.base_prefix, sys.prefix, *_SYSTEM_FOLDERS, *_SYSTEM_FILES}
    interpreter = os.path.realpath(sys.executable)
    spec = {
        "interpreter": interpreter,
        "program": str(directory / "program.py"),
        "work_dir": str(directory / "work"),
        "readable": sorted(path for path in candidates if os.path.exists(path)),
        "limits": asdict(limits),
        "layers": list(layers),
        "status_fd": write_fd,
    }
    try:
        process = subprocess.Popen(
            [interpreter, "-I", "-S", str(_LAUNCHER), marshal.dumps(spec).hex()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={},
            pass_fds=[write_fd],
            start_new_session=True,
        )
    except BaseException:
        os.close(read_fd)
        raise
    finally:
        os.close(write_fd)
    return process, open(read_fd, "rb", buffering=0)


def _await_launch(process: subprocess.Popen[bytes], status: IO[bytes]) -> tuple[str, ...]:
    """Returns the layers in force, at the moment the program itself begins."""
    deadline = time.monotonic() + _LAUNCH_LIMIT_S
    message = b""
    with selectors.DefaultSelector() as selector:
        selector.register(status, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = status.read(4096)
            if not chunk:
                break
            message += chunk
    layers, failed, problem = message.partition(b"\n!")
    if failed or not layers:
        _kill_group(process)
        assert process.stderr is not None
        reason = (problem or process.stderr.read()).decode(errors="replace").strip()
        raise RuntimeError(f"the sandbox could not be set up: {reason or 'no answer'}")
    return tuple(layers.decode().splitlines())


def _collect(
    process: subprocess.Popen[bytes], limits: SandboxLimits
) -> tuple[str | None, bytes, bytes]:
    """Reads output until the program ends; kills it at a limit and then says which.

    It has ended when its process has, whatever else may hold its pipes open.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = time.monotonic() + limits.wall_s
    output = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    end = None
    with selectors.DefaultSelector() as selector, _exit_descriptor(process) as exited:
        for descriptor in (*output, *exited):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        while end is None:
            # Without a descriptor of the process we have to ask.
            patience = deadline - time.monotonic() if exited else _POLL_S
            ready = {key.fd for key, _ in selector.select(max(0.0, patience))}
            for descriptor in ready & set(output):
                chunk = os.read(descriptor, 1 << 16)
                output[descriptor] += chunk
                if not chunk:
                    selector.unregister(descriptor)
                if len(output[descriptor]) > limits.output_bytes:
                    end = "output"
            if ready & set(exited) or (not exited and process.poll() is not None):
                break
            if time.monotonic() >= deadline:
                end = end or "timeout"
    _kill_group(process)
    for descriptor in output:  # what it wrote last
        with contextlib.suppress(BlockingIOError):
            while len(output[descriptor]) <= limits.output_bytes:
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    break
                output[descriptor] += chunk
    if end is None and max(map(len, output.values())) > limits.output_bytes:
        end = "output"
    stdout, stderr = (text[: limits.output_bytes] for text in output.values())
    return end, stdout, stderr


@contextlib.contextmanager
def _exit_descriptor(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, ...]]:
    """Yields a descriptor that is readable once the process has ended; none outside Linux."""
    if not hasattr(os, "pidfd_open"):
        yield ()
        return
    descriptor = os.pidfd_open(process.pid)
    try:
        yield (descriptor,)
    finally:
        os.close(descriptor)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills the program and all it started; the group has its number while any of them lives."""
    # None may be left; macOS answers "not permitted" for a zombie.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _status(exit_code: int, stderr: bytes) -> str:
    if exit_code == 0:
        return "passed"
    if exit_code == -signal.SIGXCPU:
        return "timeout"
    # Under a traceback's indented lines, the exception's name begins a line.
    name = re.search(rb"^(\w+)(:|$)", stderr.rpartition(_TRACEBACK)[2], re.MULTILINE)
    endings = {b"AssertionError": "failed", b"MemoryError": "memory"}
    return endings.get(name[1], "error") if name and exit_code == 1 else "error"
