"""Exit codes; and signals and errors in real processes, the fast ones of `make test-signals`."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from codepretrain.cli import process
from codepretrain.cli.process import relevant_environment, run_command
from codepretrain.errors import Interrupted, PeerStopped, UserError
from tests.conftest import TINY
from tests.fixtures.pod import Pod


def raises(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("no such phase"), 2, "no such phase"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 2, "x: No space left on device"),
        (Interrupted(15, "saved"), 143, "saved. To resume, run: codepretrain train --phase 'a b'"),
        (KeyboardInterrupt(), 130, "stopped. To resume, run: codepretrain train --phase 'a b'"),
        (PeerStopped(2, "process 1: full"), 2, "process 1: full"),
    ],
)
def test_the_exit_code_and_the_line_of_an_error(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    assert run_command(["train", "--phase", "a b"], raises(error)) == code
    assert capsys.readouterr().err == f"codepretrain: {message}\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(3), OSError(errno.EIO, "I/O")])
def test_a_defect_is_raised_on(error: BaseException) -> None:
    with pytest.raises(type(error)):
        run_command(["plan"], raises(error))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_any_command(
    capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    def command() -> int:
        os.kill(os.getpid(), number)
        return 0

    before = signal.getsignal(number)
    assert run_command(["report"], command) == code
    assert signal.getsignal(number) == before
    expected = "stopped. To start again, run: codepretrain report"  # it saves nothing on the way
    assert capsys.readouterr().err == f"codepretrain: {expected}\n"


def test_a_signal_that_became_another_error(capsys: pytest.CaptureFixture[str]) -> None:
    """As within the import of an extension module."""

    def command() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException as error:
            raise ImportError("while initializing the extension") from error
        return 0

    assert run_command(["report"], command) == 143
    assert capsys.readouterr().err.startswith("codepretrain: stopped. ")


class FakePeers:
    """Two processes, of which the other one has said what `cause` is."""

    has_agreed = False
    exit_cause = ""

    def __init__(self, cause: tuple[int, str] | None = None) -> None:
        self.exit_message = cause
        self.calls: list[object] = []

    def wait_for_exit_message(self, timeout_s: float) -> tuple[int, str] | None:
        return self.exit_message

    def announce_exit(self, code: int, message: str, *, cause: str) -> None:
        self.calls.append((code, message))

    def wait_for_all(self, timeout_s: float) -> None:
        self.calls.append("all")

    def say_farewell(self) -> None:
        self.calls.append("farewell")


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[object]]]:
    """Runs a command on one of two processes; returns its exit code and what it told the other."""

    def end_now(code: int) -> NoReturn:
        raise SystemExit(code)

    monkeypatch.setattr(process, "end_now", end_now)

    def run(peers: FakePeers, command: Callable[[], int]) -> tuple[int, list[object]]:
        def on_two() -> int:
            monkeypatch.setattr(process._process, "peers", peers)
            return command()

        with pytest.raises(SystemExit) as ended:
            run_command(["train"], on_two)
        assert isinstance(ended.value.code, int)
        return ended.value.code, peers.calls

    return run


def test_of_two_the_one_that_fails_tells_the_other(ends: Callable, capsys) -> None:
    assert ends(FakePeers(), raises(UserError("full"))) == (2, [(2, "full"), "farewell"])
    assert capsys.readouterr().err == "codepretrain: full\n"


def test_of_two_a_defect_has_its_traceback_and_is_told(ends: Callable, capsys) -> None:
    code, calls = ends(FakePeers(), raises(ZeroDivisionError("a defect")))
    assert (code, calls[0]) == (1, (1, "ZeroDivisionError: a defect"))
    assert "Traceback" in capsys.readouterr().err


def test_a_collective_that_broke_is_not_the_cause(ends: Callable, capsys) -> None:
    """The other process has ended, and so the collective operation fails here."""
    peers = FakePeers((2, "process 1: full"))
    assert ends(peers, raises(RuntimeError("Gloo: reset by peer"))) == (2, ["farewell"])
    assert capsys.readouterr().err == "codepretrain: process 1: full\n"


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_collective_that_broke_waits_for_what_is_known_of_the_other(
    ends: Callable, capsys, is_lost: bool
) -> None:
    """The other process was killed, or else it shows that it is alive."""
    peers, answers = FakePeers(), [True, True, False]

    class FakeWatch:
        def counters(self) -> dict[int, str]:
            return {1: "7"}

        def is_any_silent(self, before: dict[int, str]) -> bool:
            assert before == {1: "7"}
            if is_lost and len(answers) == 1:
                peers.exit_message = (3, "process 1 of 2 is silent")
                return True
            return answers.pop(0)

        def stop(self) -> None:
            peers.calls.append("no watch")

    def command() -> int:
        assert process._process is not None
        process._process.peer_watch = FakeWatch()  # type: ignore[assignment]
        raise RuntimeError("Gloo: reset by peer")

    code, calls = ends(peers, command)
    error = capsys.readouterr().err
    if is_lost:
        assert (code, calls) == (3, ["no watch", "farewell"])
        assert error == "codepretrain: process 1 of 2 is silent\n"
    else:
        reason = (1, "RuntimeError: Gloo: reset by peer")
        assert (code, calls) == (1, ["no watch", reason, "farewell"])
        assert "Traceback" in error


def test_of_two_that_are_done_each_waits_for_the_other(ends: Callable) -> None:
    assert ends(FakePeers(), lambda: 0) == (0, ["all", "farewell"])


def test_the_environment_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("JAX_", "XLA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XLA_FLAGS", "--xla_x")
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    found = relevant_environment()
    assert found["XLA_FLAGS"] == "--xla_x"
    assert "SECRET_TOKEN" not in found


# Counts malloc's heaps after a few threads have allocated, where the command would import JAX.
_COUNT_HEAPS = """
import ctypes, re, sys, threading
from codepretrain.cli import process
from codepretrain.cli.main import main
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.fclose.argtypes = (ctypes.c_void_p,)

def count():
    for _ in range(3):
        thread = threading.Thread(target=lambda: libc.malloc(1000))
        thread.start()
        thread.join()
    path, *_ = sys.argv[1:]
    file = libc.fopen(path.encode(), b"w")
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(open(path).read().count("<heap nr"))
    raise SystemExit(0)

process.has_accelerator = lambda: False
process.import_jax = count
main(sys.argv[2:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_training_on_cpus_uses_one_heap(tmp_path: Path, train: list[str | Path]) -> None:
    """It keeps its memory only if no thread, that of the signals included, has a heap already."""
    script = [sys.executable, "-c", _COUNT_HEAPS, str(tmp_path / "heaps.xml"), *map(str, train)]
    ended = subprocess.run(script, capture_output=True, text=True, check=False)
    assert ended.stdout == "1\n", ended.stderr


@pytest.fixture
def train(workdir: Path, tiny_overrides: list[str]) -> list[str | Path]:
    return ["train", "--phase", "trunk", "--config", TINY, "--workdir", workdir, *tiny_overrides]


def test_one_process_is_stopped_while_it_restores(tmp_path: Path, train: list) -> None:
    with Pod(tmp_path / "pod", num_processes=1, stage="restore") as pod:
        pod.start(*train)
        pod.wait_for_stage()
        pod.send(signal.SIGTERM)
        assert pod.codes() == [143]
        last = pod.output(0).splitlines()[-1]
    assert last.startswith("codepretrain: stopped; progress is saved. To resume, run: ")


@pytest.mark.skipif(sys.platform != "linux", reason="two processes on CPUs, with gloo")
def test_two_processes_are_stopped_by_one_signal(
    tmp_path: Path, workdir: Path, train: list
) -> None:
    """While they compile, where no Python handler can run; then within a step, where they save."""
    for stage in ("compile", "step"):
        with Pod(tmp_path / stage, num_processes=2, stage=stage) as pod:
            pod.start(*train)
            pod.wait_for_stage()
            pod.send(signal.SIGTERM, 1)
            assert pod.codes() == [143, 143], (pod.output(0), pod.output(1))
    [run] = (workdir / "runs").glob("trunk-*")
    logged = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    [saved] = (path.name for path in (run / "checkpoints").iterdir() if path.name.isdigit())
    assert logged == list(range(1, int(saved) + 1))


@pytest.mark.skipif(sys.platform != "linux", reason="two processes on CPUs, with gloo")
def test_the_failure_of_one_process_ends_the_other(tmp_path: Path, train: list) -> None:
    with Pod(tmp_path / "pod", num_processes=2, stage="full-disk-1") as pod:
        pod.start(*train)
        assert pod.codes() == [2, 2], (pod.output(0), pod.output(1))
        assert "codepretrain: process 1: full: No space left on device" in pod.output(0)
        assert "codepretrain: full: No space left on device" in pod.output(1)


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.skipif(sys.platform != "linux", reason="two processes on CPUs, with gloo")
def test_an_evaluation_that_fails_in_one_process_ends_the_other(
    tmp_path: Path, trained_copy: Path, tiny_overrides: list[str], failing: int
) -> None:
    for evaluations in trained_copy.glob("runs/trunk-*/evals.jsonl"):
        evaluations.write_text("")
    with Pod(tmp_path / "pod", num_processes=2, stage=f"evaluation-{failing}") as pod:
        pod.start(
            *("evaluate", "--phase", "trunk", "--config", TINY, "--workdir", trained_copy),
            *tiny_overrides,
        )
        assert pod.codes() == [1, 1], (pod.output(0), pod.output(1))
        cause, follower = pod.output(failing), pod.output(1 - failing)
    assert "Traceback" in cause
    assert f"codepretrain: process {failing}: ZeroDivisionError: a defect" in follower
    assert "Traceback" not in follower


@pytest.mark.skipif(sys.platform != "linux", reason="two processes on CPUs, with gloo")
@pytest.mark.parametrize(
    ("killed", "message"),
    [
        (0, "process 0 of 2 has ended without a message: "),
        (1, "process 1 of 2 has not answered for 4 s (--heartbeat-timeout-s): "),
    ],
)
def test_a_killed_process_is_named(tmp_path: Path, train: list, killed: int, message: str) -> None:
    """Within a step, where the other one waits in a collective operation.

    JAX may log that the coordination service is gone, before the message or after it.
    """
    with Pod(tmp_path / "pod", num_processes=2, stage="step") as pod:
        pod.start(*train, "--heartbeat-timeout-s=4")
        pod.wait_for_stage()
        pod.send(signal.SIGKILL, killed)
        codes, output = pod.codes(), pod.output(1 - killed)
    assert (codes[killed], codes[1 - killed]) == (-signal.SIGKILL, 3), output
    assert f"\ncodepretrain: {message}" in f"\n{output}", output
    assert "Traceback" not in output
