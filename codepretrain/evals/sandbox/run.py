"""Runs untrusted Python code, such as a model's output, in a process of its own.

Enforced everywhere: a fresh interpreter without installed packages, an empty environment and an
empty working directory, no input, a wall-clock limit, and limits on CPU time, address space, the
size of a file, and output.

Enforced on Linux: the other layers of `layers.py`. Together they leave a program its interpreter,
read-only, a directory in memory, and the system calls to compute with them; it runs as `nobody`
where the evaluator is root. All of them but the memory cgroup are required unless the caller asks
for less, and a machine that does not grant one is refused. No root is needed.

    evaluator  →  supervisor  →  program
    launch.py     supervisor.py  confine.py, private_root.py, then the interpreter

A program leaves nothing behind: its files disappear with its mount namespace. If the evaluator is
killed, the supervisor kills the program and removes its cgroup; if the supervisor is killed, the
kernel kills the program and the evaluator removes the cgroup. If both are killed at once, an empty
cgroup remains, and without `namespaces` the program's directory.

With fewer layers a program can do what the missing ones would have prevented: without `namespaces`
and `seccomp` it can even reach the supervisor and forge its result.

Never enforced: hiding the clock, the kernel's version and the processor, and side channels of a
CPU. A program can claim success by exiting with code 0; a test of a program must check more than
its exit code.
"""

import functools
import os
import re
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from codepretrain.evals.sandbox.capacity import num_parallel
from codepretrain.evals.sandbox.launch import Supervised, supervised
from codepretrain.evals.sandbox.layers import LAYERS, REQUIRED_LAYERS, missing_layers

_TRACEBACK = b"Traceback (most recent call last):\n"
_CPU_SHARE = 0.75  # the kernel enforces the limit by a coarser clock than it reports


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What one program may use. `disk_bytes` is bounded with namespaces, a file's size always.

    The memory cgroup, where it is granted, bounds everything together by
    `memory_bytes + disk_bytes`.
    """

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    disk_bytes: int = 64 << 20
    output_bytes: int = 64 << 10


@dataclass(frozen=True)
class Execution:
    """How one program ended.

    status: "passed" (exit code 0), "failed" (an AssertionError ended it), "timeout" (wall clock or
    CPU), "memory" (a MemoryError or the memory limit ended it), "output" (it wrote more than the
    limit) or "error" (any other end). exit_code: minus the signal's number if one ended it. stdout,
    stderr: at most `output_bytes` each. isolation: the layers that were in force.
    """

    status: str
    exit_code: int
    stdout: bytes
    stderr: bytes
    wall_s: float
    isolation: tuple[str, ...]


@dataclass(frozen=True)
class Isolation:
    """granted: the layers that this machine grants. missing: the others, each with the reason."""

    granted: tuple[str, ...]
    missing: Mapping[str, str]


@functools.cache
def sandbox_isolation() -> Isolation:
    """Runs a harmless program in all layers that this machine grants, and returns which they are.

    Raises:
      RuntimeError: not even that program ran, so results of others would mean nothing.
    """
    program = "import datetime, json, math, random, re\nprint(math.comb(5, 2))"
    execution, missing = _execute(program, SandboxLimits(), tuple(LAYERS), ())
    if execution is None or execution.stdout != b"10\n":
        reason = execution.stderr.decode(errors="replace").strip() if execution else missing
        raise RuntimeError(f"the sandbox does not run a harmless program: {reason}")
    return Isolation(execution.isolation, missing)


def require_layers(required: Sequence[str], *, option: str) -> None:
    """Checks that this machine grants the required layers.

    Raises:
      UserError: it does not; names the layers, the reasons and `option`, which asks for less.
      RuntimeError: the sandbox does not work at all.
    """
    if error := missing_layers(sandbox_isolation().missing, required, option=option):
        raise error


def run_programs(
    programs: Sequence[str],
    *,
    limits: SandboxLimits = SandboxLimits(),
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    layers: Sequence[str] | None = None,
    num_workers: int | None = None,
) -> list[Execution]:
    """Runs each program; results in the programs' order.

    Args:
      layers: which to apply; by default all that this machine grants.
      num_workers: programs that run at a time; by default as many as `capacity.py` says.

    Raises:
      UserError: this machine does not grant a required layer; no program has run.
    """
    require_layers(required_layers, option="required_layers")
    layers = sandbox_isolation().granted if layers is None else layers
    run = functools.partial(
        run_program, limits=limits, required_layers=required_layers, layers=layers
    )
    num_workers = num_workers or num_parallel(limits.memory_bytes + limits.disk_bytes)
    with ThreadPoolExecutor(num_workers) as pool:
        return list(pool.map(run, programs))


def run_program(
    program: str,
    *,
    limits: SandboxLimits = SandboxLimits(),
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    layers: Sequence[str] = tuple(LAYERS),
) -> Execution:
    """Runs the text of one program as `__main__`.

    Args:
      program: Python text.
      limits: what it may use.
      required_layers: without these it is not run.
      layers: which to apply where they are granted; fewer than all is for testing them one by one.

    Raises:
      UserError: this machine does not grant a required layer; the program has not run.
      RuntimeError: the sandbox itself could not be set up. Never for what the program does.
    """
    if left_out := set(required_layers) - set(layers):
        raise ValueError(f"required layers are not among those to apply: {sorted(left_out)}")
    execution, missing = _execute(program, limits, layers, required_layers)
    if error := missing_layers(missing, required_layers, option="required_layers"):
        raise error
    assert execution is not None
    return execution


def _execute(
    program: str, limits: SandboxLimits, layers: Sequence[str], required: Sequence[str]
) -> tuple[Execution | None, Mapping[str, str]]:
    """Returns the program's execution (None if it was refused) and the layers not granted."""
    # Text of a model may hold lone surrogates; written as they are, they are a SyntaxError.
    text = program.encode("utf-8", "surrogatepass")
    with supervised(text, limits=asdict(limits), layers=layers, required=required) as run:
        missing = run.ready["missing"]
        if "problem" in run.ready:
            if not set(missing) & set(required):
                raise RuntimeError(f"the sandbox could not be set up: {run.ready['problem']}")
            return None, missing
        started = time.monotonic()
        limit, output = _collect(run, limits)
        end = run.await_end() or {"exit_code": -signal.SIGKILL}
        wall_s = time.monotonic() - started
        stdout, stderr = (_rest(fd, text, limits) for fd, text in output.items())
    exceeded = max(len(stdout), len(stderr)) > limits.output_bytes
    status = limit or ("output" if exceeded else status_of_end(end, stderr, limits))
    size = limits.output_bytes
    isolation = tuple(run.ready["layers"])
    return Execution(
        status, end["exit_code"], stdout[:size], stderr[:size], wall_s, isolation
    ), missing


def _collect(run: Supervised, limits: SandboxLimits) -> tuple[str | None, dict[int, bytes]]:
    """Reads output until the program ends or reaches a limit, and then says which.

    The program has ended when its supervisor says so, even if other processes hold its pipes open.
    """
    deadline = time.monotonic() + limits.wall_s
    output = dict.fromkeys(run.outputs, b"")
    with selectors.DefaultSelector() as selector:
        for descriptor in (*output, run.end):
            os.set_blocking(descriptor, descriptor == run.end)
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            for descriptor in ready & set(output):
                chunk = os.read(descriptor, 1 << 16)
                output[descriptor] += chunk
                if not chunk:
                    selector.unregister(descriptor)
                if len(output[descriptor]) > limits.output_bytes:
                    return "output", output
            if run.end in ready:
                return None, output
            if time.monotonic() >= deadline:
                return "timeout", output


def _rest(descriptor: int, output: bytes, limits: SandboxLimits) -> bytes:
    """Returns the output, including the part not yet read."""
    while len(output) <= limits.output_bytes:
        try:
            chunk = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            break
        if not chunk:
            break
        output += chunk
    return output


def status_of_end(end: Mapping[str, Any], stderr: bytes, limits: SandboxLimits) -> str:
    """Returns the status of a program that no limit of the evaluator ended.

    Args:
      end: what the supervisor reported.
      stderr: what the program wrote there.
    """
    exit_code = end["exit_code"]
    if exit_code == 0:
        return "passed"
    if end.get("memory_exhausted"):
        return "memory"
    killed = exit_code in (-signal.SIGKILL, -signal.SIGXCPU)
    if killed and end.get("cpu_s", 0.0) >= _CPU_SHARE * limits.cpu_s:
        return "timeout"
    # Under a traceback's indented lines, the exception's name begins a line.
    name = re.search(rb"^(\w+)(:|$)", stderr.rpartition(_TRACEBACK)[2], re.MULTILINE)
    endings = {b"AssertionError": "failed", b"MemoryError": "memory"}
    return endings.get(name[1], "error") if name and exit_code == 1 else "error"
