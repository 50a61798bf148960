"""Each layer that acts on the process itself, alone; `test_syscalls.py` is about seccomp."""

import os
from pathlib import Path

import pytest

from codepretrain.evals.sandbox import interpreter_files
from codepretrain.evals.sandbox.run import run_program
from tests.evals.sandbox.conftest import QUICK, error_of, granted, needs_linux, run_in

LANDLOCK = ("limits", "landlock")


@needs_linux
@pytest.mark.parametrize("path", ["{tmp}/new", "/tmp/new-{pid}", "/dev/shm/new-{pid}"])
def test_landlock_refuses_writing_outside(path: str, tmp_path: Path) -> None:
    granted("landlock")
    path = path.format(tmp=tmp_path, pid=os.getpid())
    execution = run_in(LANDLOCK, f"open({path!r}, 'w').write('x')")
    assert error_of(execution).startswith("PermissionError")
    assert not os.path.exists(path)


@needs_linux
@pytest.mark.parametrize(
    "program",
    [
        "print(open({path!r}).read())",
        "os.remove({path!r})",
        "os.rename({path!r}, 'mine')",
        "os.link({path!r}, 'mine')",
        "os.listdir(os.path.dirname({path!r}))",
        "print(open('/proc/self/environ').read())",
        "open('/proc/self/mem', 'r+b')",
        "open(f'/proc/{{os.getppid()}}/environ')",
        "open(f'/proc/{{os.getppid()}}/mem', 'r+b')",
        "open('/dev/mem', 'rb')",
        "os.symlink('/', 'root'); os.listdir('root')",
        "open(__file__, 'a')",
        "os.execv('/bin/sh', ['sh'])",
    ],
)
def test_landlock_refuses_reading_and_removing_outside(program: str, outside: Path) -> None:
    granted("landlock")
    execution = run_in(LANDLOCK, "import os\n" + program.format(path=str(outside)))
    assert error_of(execution).startswith(("PermissionError", "OSError: [Errno 18]", "FileNotF"))
    assert b"hunter2" not in execution.stdout


@needs_linux
@pytest.mark.parametrize("layers", [("namespaces",), ("capabilities",), ()])
def test_no_right_of_root_is_left(layers: tuple[str, ...]) -> None:
    """Without either layer root keeps its capabilities: the test can tell."""
    granted(*layers)
    program = (
        "import ctypes, struct\nheader = struct.pack('Ii', 0x20080522, 0)\n"
        "data = ctypes.create_string_buffer(24)\n"
        "assert ctypes.CDLL(None).capget(header, data) == 0\nprint(any(data.raw))"
    )
    execution = run_in(("limits", *layers), program)
    assert execution.stdout.decode().strip() == str(not layers and os.geteuid() == 0)


@pytest.mark.parametrize("name", ["AS", "CPU", "FSIZE", "NOFILE", "CORE", "NPROC", "STACK"])
def test_limits_cannot_be_raised_again(name: str) -> None:
    granted("capabilities")
    program = (
        f"import resource as r\nsoft, hard = r.getrlimit(r.RLIMIT_{name})\nassert soft == hard\n"
        f"r.setrlimit(r.RLIMIT_{name}, (hard + 1, hard + 1))"
    )
    execution = run_in(("limits", "capabilities"), program)
    assert error_of(execution) == "ValueError: not allowed to raise maximum limit"


@needs_linux
def test_a_crash_starts_no_handler_of_the_host() -> None:
    """A core limit of 1 byte is the kernel's sign not to run `core_pattern`; 0 is not."""
    program = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert run_in(("limits",), program).stdout == b"(1, 1)\n"


@needs_linux
def test_the_kernel_prefers_to_kill_the_program_for_memory() -> None:
    program = "print(open('/proc/self/oom_score_adj').read())"
    assert run_in(("limits",), program).stdout.split() == [b"1000"]


def test_few_files_are_opened() -> None:
    program = "open('f', 'w')\nfiles = [open('f') for _ in range(99)]"
    assert "Too many open files" in error_of(run_in(("limits",), program))


@needs_linux
def test_an_interpreter_that_may_not_be_executed_is_our_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    granted("landlock")
    files = interpreter_files.interpreter_files()
    bare = interpreter_files.InterpreterFiles(files.interpreter, (), (), (), public=True)
    monkeypatch.setattr("codepretrain.evals.sandbox.launch.interpreter_files", lambda: bare)
    with pytest.raises(RuntimeError, match=r"could not be set up: .*Permission denied"):
        run_program("pass", limits=QUICK, layers=LANDLOCK, required_layers=())
