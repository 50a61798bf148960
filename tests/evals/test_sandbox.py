"""Hostile programs, against all layers together and against each layer alone."""

import json
import os
import platform
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from codepretrain.evals import sandbox_child
from codepretrain.evals.sandbox import (
    LAYERS,
    Execution,
    SandboxLimits,
    run_program,
    run_programs,
    sandbox_isolation,
)

QUICK = SandboxLimits(wall_s=10.0, cpu_s=2, memory_bytes=256 << 20, file_bytes=1 << 20)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone grants these layers")


def granted(*layers: str) -> tuple[str, ...]:
    missing = set(layers) - set(sandbox_isolation())
    if missing:
        pytest.skip(f"this kernel does not grant {', '.join(sorted(missing))}")
    return layers


def error_of(execution: Execution) -> str:
    return execution.stderr.decode().strip().rpartition("\n")[2]


def test_results_come_in_the_order_of_the_programs() -> None:
    programs = [f"import time; time.sleep({0.2 * (i == 0)}); print({i})" for i in range(6)]
    executions = run_programs(programs, num_workers=3)
    assert [execution.stdout for execution in executions] == [b"%d\n" % i for i in range(6)]


@pytest.mark.parametrize(
    ("program", "status", "exit_code"),
    [
        ("pass", "passed", 0),
        ("assert 1 == 2, 'on\\ntwo lines'", "failed", 1),
        ("raise ValueError('AssertionError')", "error", 1),
        ("import sys; sys.exit(7)", "error", 7),
        ("this is no Python", "error", 1),
        ("x = '\\ud800'; print(len(x))", "passed", 0),
        ("\ud800", "error", 1),
        ("import os; os.close(1); os.close(2)", "passed", 0),
    ],
)
def test_how_a_program_ended(program: str, status: str, exit_code: int) -> None:
    execution = run_program(program)
    assert (execution.status, execution.exit_code) == (status, exit_code)


def test_a_program_sees_no_input_no_environment_no_files_and_no_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    execution = run_program(
        "import json, os, sys\n"
        "print(json.dumps([sorted(os.environ), os.listdir(), sys.stdin.read(), sys.path]))"
    )
    environment, files, stdin, path = json.loads(execution.stdout)
    assert set(environment) <= {"PYTHONHASHSEED", "LC_CTYPE"}
    assert (files, stdin) == ([], "")
    assert not [entry for entry in path if "site-packages" in entry or "sandbox" in entry]


def test_sets_print_in_the_same_order_each_time() -> None:
    program = "print({word for word in 'the quick brown fox jumps over the lazy dog'.split()})"
    assert run_program(program).stdout == run_program(program).stdout


@pytest.mark.parametrize(
    "program",
    [
        "time.sleep(60)",
        "os.close(1); os.close(2); time.sleep(60)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
    ],
)
def test_time_is_limited_on_the_wall(program: str) -> None:
    limits = SandboxLimits(wall_s=0.5)
    execution = run_program(f"import os, signal, time\n{program}", limits=limits)
    assert (execution.status, execution.exit_code) == ("timeout", -signal.SIGKILL)


def test_time_is_limited_on_the_cpu() -> None:
    execution = run_program("while True: pass", limits=SandboxLimits(wall_s=60.0, cpu_s=1))
    assert (execution.status, execution.exit_code) == ("timeout", -signal.SIGXCPU)


def test_memory_is_limited() -> None:
    assert run_program("x = bytearray(1 << 30)", limits=QUICK).status == "memory"
    assert (
        run_program("x = []\nwhile True: x.append(' ' * (1 << 20))", limits=QUICK).status
        == "memory"
    )


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_limited(stream: str) -> None:
    limits = SandboxLimits(wall_s=10.0, output_bytes=1000)
    execution = run_program(
        f"import sys\nwhile True: print('x' * 100, file=sys.{stream})", limits=limits
    )
    assert execution.status == "output"
    assert len(getattr(execution, stream)) == 1000


def test_the_size_of_a_file_is_limited() -> None:
    execution = run_program("open('x', 'wb').write(b'x' * (2 << 20))", limits=QUICK)
    assert "File too large" in error_of(execution)
    assert run_program("open('x', 'w').write('a'); print(open('x').read())").stdout == b"a\n"


@needs_linux
def test_all_files_together_are_limited() -> None:
    granted("namespaces")
    limits = SandboxLimits(file_bytes=1 << 20, disk_bytes=2 << 20)
    execution = run_program(
        "for i in range(9): open(str(i), 'wb').write(b'x' * (1 << 19))", limits=limits
    )
    assert "No space left on device" in error_of(execution)


@needs_linux
def test_a_fork_bomb_does_not_get_to_its_second_process() -> None:
    granted("seccomp")
    execution = run_program("import os\nwhile True: os.fork()", limits=QUICK)
    assert error_of(execution).startswith("PermissionError")
    execution = run_program("import subprocess; subprocess.run(['/bin/true'])", limits=QUICK)
    assert execution.status == "error"


def test_processes_that_were_started_die_with_the_program(tmp_path: Path) -> None:
    """With limits alone root may fork: a grandchild that goes on is killed with the group."""
    marker = tmp_path / "alive"
    program = (
        f"import os, time\nif os.fork() == 0:\n    time.sleep(0.7); open({str(marker)!r}, 'w')\n"
    )
    execution = run_program(program, limits=QUICK, layers=("limits",))
    if execution.status == "error":
        assert "Resource temporarily unavailable" in error_of(execution)  # RLIMIT_NPROC, not root
    time.sleep(0.9)
    assert not marker.exists()


@needs_linux
@pytest.mark.parametrize("path", ["{tmp}/outside", "/tmp/outside-{pid}", "/dev/shm/outside-{pid}"])
def test_nothing_is_written_outside(path: str, tmp_path: Path) -> None:
    granted("landlock")
    path = path.format(tmp=tmp_path, pid=os.getpid())
    execution = run_program(f"open({path!r}, 'w').write('x')", limits=QUICK)
    assert error_of(execution).startswith("PermissionError")
    assert not os.path.exists(path)


@needs_linux
def test_nothing_is_read_or_removed_outside(tmp_path: Path) -> None:
    granted("landlock")
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    for program in (
        f"print(open({str(secret)!r}).read())",
        f"import os; os.remove({str(secret)!r})",
        f"import os; os.rename({str(secret)!r}, 'mine')",
        f"import os; os.listdir({str(tmp_path)!r})",
        "print(open('/proc/self/environ').read())",
    ):
        execution = run_program(program, limits=QUICK)
        assert error_of(execution).startswith(("PermissionError", "OSError")), program
    assert secret.read_text() == "hunter2"


@needs_linux
@pytest.mark.parametrize("layer", ["seccomp", "namespaces"])
def test_there_is_no_network_under_either_layer_alone(layer: str) -> None:
    layers = granted(layer)
    execution = run_program(
        "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)",
        limits=QUICK,
        layers=("limits", *layers),
    )
    expected = (
        "PermissionError" if layer == "seccomp" else "OSError: [Errno 101] Network is unreach"
    )
    assert error_of(execution).startswith(expected)


@needs_linux
@pytest.mark.parametrize(
    "program",
    [
        "os.kill(os.getppid(), 0)",
        "os.kill(-1, 9)",
        "os.setsid()",
        "os.setpriority(os.PRIO_PROCESS, 0, 0)",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))",
        "threading.Thread(target=print).start()",
    ],
)
def test_other_processes_cannot_be_touched(program: str) -> None:
    granted("seccomp")
    execution = run_program(f"import os, resource, threading\n{program}", limits=QUICK)
    assert error_of(execution).startswith(("PermissionError", "RuntimeError: can't start"))


@needs_linux
@pytest.mark.parametrize("layers", [("namespaces",), ("capabilities",), ()])
def test_no_right_of_root_is_left(layers: tuple[str, ...]) -> None:
    """Without either layer root keeps its capabilities: the test can tell."""
    granted(*layers)
    program = "print(*[l for l in open('/proc/self/status') if l.startswith('CapEff')])"
    execution = run_program(program, limits=QUICK, layers=("limits", *layers))
    mask = int(execution.stdout.split()[1], 16)
    assert (mask == 0) == (bool(layers) or os.geteuid() != 0)


@needs_linux
def test_limits_cannot_be_raised_again() -> None:
    granted("seccomp", "capabilities")
    program = "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))"
    execution = run_program(f"import resource\n{program}", limits=QUICK)
    assert error_of(execution) == "ValueError: not allowed to raise maximum limit"


def test_the_layers_in_force_are_recorded() -> None:
    execution = run_program("pass", layers=("limits",))
    assert execution.isolation == ("limits",)
    assert {"limits"} <= set(sandbox_isolation()) <= set(LAYERS)


def test_a_sandbox_that_cannot_be_set_up_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codepretrain.evals.sandbox._LAUNCHER", Path("/nowhere/child.py"))
    with pytest.raises(RuntimeError, match=r"could not be set up: .*No such file"):
        run_program("pass")


def test_the_numbers_of_the_system_calls_are_those_of_this_machines_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if platform.machine() != "x86_64" or not header.exists():
        pytest.skip("no kernel headers here")
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    for name, (number, _) in sandbox_child._FORBIDDEN_CALLS.items():
        assert int(numbers[name]) == number, name
    assert int(numbers["prlimit64"]) == sandbox_child._PRLIMIT64[0]


@needs_linux
def test_an_interpreter_that_may_not_be_executed_is_our_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    granted("landlock")
    monkeypatch.setattr("codepretrain.evals.sandbox._SYSTEM_FOLDERS", ())
    monkeypatch.setattr(sys, "prefix", "/etc")
    monkeypatch.setattr(sys, "base_prefix", "/etc")
    with pytest.raises(RuntimeError, match=r"could not be set up: .*Permission denied"):
        run_program("pass")
