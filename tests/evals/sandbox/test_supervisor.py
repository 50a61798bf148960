"""Nothing of a program is left, whoever is killed; the result is the supervisor's to tell."""

import glob
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codepretrain.evals.sandbox import launch
from codepretrain.evals.sandbox.run import run_program, run_programs
from tests.conftest import ROOT
from tests.evals.sandbox.conftest import QUICK, error_of, granted, needs_linux, run_in

DEADLINE_S = 30.0
EVALUATOR = """\
from codepretrain.evals.sandbox import launch
from codepretrain.evals.sandbox.run import run_program
run_program("import os, time\\nos.makedirs('a/b')\\nprint('x' * 10)\\ntime.sleep(600)",
            layers={layers!r}, required_layers={layers!r})
"""


def until(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def left_folders() -> set[str]:
    return set(glob.glob(f"{tempfile.gettempdir()}/codepretrain-sandbox-*"))


def cgroups_of(pid: int | str) -> list[str]:
    return glob.glob(f"/sys/fs/cgroup/**/codepretrain-sandbox-{pid}-*", recursive=True)


@pytest.fixture(params=[("limits",), ("limits", "namespaces", "memory_cgroup")], ids=str)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, int]]:
    """Yields the process numbers of an evaluator, its supervisor and its running program."""
    layers = granted(*request.param)
    command = [sys.executable, "-c", EVALUATOR.format(layers=layers)]
    evaluator = subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    try:
        found: list[int] = []

        def has_started() -> bool:
            found[:] = [evaluator.pid]
            for _ in range(2):
                found.extend(children(found[-1])[:1])
            if len(found) < 3:
                return False
            arguments = Path(f"/proc/{found[2]}/cmdline").read_bytes()
            return b"program.py" in arguments

        assert until(has_started)
        yield found[0], found[1], found[2]
    finally:
        evaluator.kill()
        evaluator.wait()


@needs_linux
def test_a_killed_evaluator_leaves_nothing(running: tuple[int, int, int]) -> None:
    evaluator, supervisor, program = running
    before = left_folders()
    os.kill(evaluator, signal.SIGKILL)
    assert until(lambda: not is_running(supervisor) and not is_running(program))
    assert not cgroups_of(supervisor)
    assert not {path for path in left_folders() & before if f"-{supervisor}-" in path}


@needs_linux
def test_a_program_dies_with_its_supervisor(running: tuple[int, int, int]) -> None:
    evaluator, supervisor, program = running
    os.kill(supervisor, signal.SIGKILL)
    assert until(lambda: not is_running(program))
    assert until(lambda: not is_running(evaluator))  # it reports an error and ends
    assert not cgroups_of(supervisor)
    assert not {path for path in left_folders() if f"-{supervisor}-" in path}


@needs_linux
@pytest.mark.parametrize("layers", [("limits",), ("limits", "namespaces", "memory_cgroup")])
def test_a_supervisor_killed_before_its_report_leaves_nothing(
    layers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program runs by then, in a directory or cgroup that no message has named."""
    layers = granted(*layers)
    dies = "supervisor._send = lambda *_: os.kill(os.getpid(), 9); supervisor.main()"
    script = "import os; " + launch._START.replace("supervisor.main()", dies)
    monkeypatch.setattr(launch, "_START", script)
    started: list[int] = []
    launched = subprocess.Popen

    def record(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = launched(*arguments, **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(launch.subprocess, "Popen", record)
    with pytest.raises(RuntimeError, match="could not be set up"):
        run_program("", layers=layers, required_layers=layers)
    (supervisor,) = started
    assert not cgroups_of(supervisor)
    assert not {path for path in left_folders() if f"-{supervisor}-" in path}


@needs_linux
def test_a_program_cannot_outlive_the_supervisor_by_prctl() -> None:
    granted("seccomp")
    program = "import ctypes\nassert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == -1"
    assert run_in(("limits", "seccomp"), program).status == "passed"


@pytest.mark.parametrize(
    "program",
    [
        "for fd in range(3, 4096):\n    try: os.write(fd, b'\\x04\\x00\\x00\\x00abcd'); print(fd)\n"
        "    except OSError: pass",
        "os.write(1, b''); os._exit(0)",
        "os.dup2(1, 3); os.write(3, b'')",
    ],
)
def test_a_program_cannot_write_its_own_verdict(program: str) -> None:
    execution = run_in(("limits",), f"import os\n{program}")
    assert (execution.status, execution.stdout) == ("passed", b"")


def test_killing_the_supervisor_is_no_success() -> None:
    """Without seccomp and a process namespace it can; the evaluator then knows of no success."""
    program = "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)"
    execution = run_in(("limits",), program)
    assert (execution.status, execution.exit_code) == ("error", -signal.SIGKILL)


@needs_linux
def test_a_fork_bomb_does_not_get_to_its_second_process() -> None:
    granted("seccomp")
    layers = ("limits", "seccomp")
    execution = run_in(layers, "import os\nwhile True: os.fork()")
    assert error_of(execution).startswith("PermissionError")
    execution = run_in(
        layers, "import threading\nwhile True: threading.Thread(target=print).start()"
    )
    assert error_of(execution).startswith("RuntimeError: can't start")


def test_processes_that_were_started_die_with_the_program(tmp_path: Path) -> None:
    """With limits alone root may fork: a grandchild that goes on is killed with the group."""
    marker = tmp_path / "alive"
    program = (
        f"import os, time\nif os.fork() == 0:\n    time.sleep(0.7); open({str(marker)!r}, 'w')\n"
    )
    execution = run_in(("limits",), program)
    if execution.status == "error":
        assert "Resource temporarily unavailable" in error_of(execution)  # RLIMIT_NPROC, not root
    time.sleep(0.9)
    assert not marker.exists()


@pytest.mark.parametrize(
    "program",
    [
        "os.mkdir('locked', 0)",
        "os.mkdir('d'); open('d/f', 'w'); os.chmod('d', 0); os.chmod('.', 0)",
        "for _ in range(1500): os.mkdir('d'); os.chdir('d')",
        "os.symlink('/', 'root'); os.symlink('.', 'self'); os.mkfifo('fifo')",
        "os.rmdir('../work')",
        "os.rename('../work', '../other'); os.mkdir('../work')",
    ],
)
def test_the_folder_is_removed_whatever_is_in_it(program: str) -> None:
    before = left_folders()
    execution = run_in(("limits",), f"import os\n{program}")
    assert execution.status == "passed", execution.stderr.decode()
    assert left_folders() <= before


def test_the_evaluators_descriptors_are_not_used_up() -> None:
    open_before = len(os.listdir("/dev/fd"))
    run_programs(["import os; os.closerange(0, 3)"] * 8, limits=QUICK, required_layers=())
    with pytest.raises(ValueError, match="required layers"):
        run_program("pass", layers=("limits",))
    assert len(os.listdir("/dev/fd")) == open_before


CLONED_INTO_A_GROUP = """\
import os, sys, types
from codepretrain.evals.sandbox import supervisor
group, layers = sys.argv[1], sys.argv[2:]
child = supervisor._Child({}, layers)
child._group = types.SimpleNamespace(version=2, entry=os.open(group, os.O_RDONLY))
pid = child._clone()
if pid == 0:
    own = open("/proc/self/cgroup").read().splitlines()[-1]
    os.write(1, f"{own} {os.getpid() == 1}".encode())
    os._exit(0)
os.waitpid(pid, 0)
"""


@needs_linux
@pytest.mark.parametrize("layers", [("limits",), ("limits", "namespaces")], ids=str)
def test_a_program_is_created_in_its_group_of_version_2(layers: tuple[str, ...]) -> None:
    """The hierarchy of version 2 is enough here; it need not have the memory controller."""
    granted(*layers)
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [fields[1] for fields in mounts if fields[2] == "cgroup2" and os.access(fields[1], 2)]
    if not roots:
        pytest.skip("no cgroup of version 2 that this user may change")
    group = f"{roots[0]}/codepretrain-test-{os.getpid()}"
    try:
        os.mkdir(group)
    except OSError as error:
        pytest.skip(f"no cgroup may be made: {error}")
    try:
        command = [sys.executable, "-c", CLONED_INTO_A_GROUP, group, *layers]
        printed = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
        )
        # In a namespace of its own the program sees its group as the root.
        expected = "/ True" if "namespaces" in layers else f"/{os.path.basename(group)} False"
        assert printed.stdout.endswith(expected), printed.stderr
    finally:
        os.rmdir(group)
