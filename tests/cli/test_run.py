"""The commands that do the work of a study: the processes of a run that cannot be joined."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codepretrain.cli import run
from codepretrain.errors import Interrupted, UserError
from tests.conftest import ROOT, TINY
from tests.fixtures.pod import Pod
from tests.fixtures.processes import free_address, wait_for_all


@pytest.mark.parametrize(
    ("process_id", "expected"),
    [
        (0, "not all 2 processes have joined process 0 at localhost:{port}"),
        (1, "for process 0 at localhost:{port}: Connection refused; check that process 0 runs"),
    ],
)
def test_processes_that_do_not_come_are_not_waited_for_forever(
    tmp_path: Path, process_id: int, expected: str
) -> None:
    address = free_address()
    where = [f"--config={TINY}", f"--workdir={tmp_path / 'new'}"]
    pod = [f"--coordinator={address}", "--num-processes=2", f"--process-id={process_id}"]
    result = subprocess.run(
        [sys.executable, "-m", "codepretrain", "train", *where, *pod, "--join-timeout-s=2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
    )
    assert result.returncode == 2, result.stderr
    [line] = [s for s in result.stderr.splitlines() if s.startswith("codepretrain: ")]
    assert line.startswith(f"codepretrain: --coordinator {address}: waited 2 s (--join-timeout-s)")
    assert expected.format(port=address.partition(":")[2]) in line
    assert not (tmp_path / "new").exists()


def test_processes_with_different_heartbeat_timeouts_end_with_one_message(tmp_path: Path) -> None:
    """JAX would abort both: one sends its heartbeats less often than the other expects them."""
    address = free_address()
    where = [f"--config={TINY}", f"--workdir={tmp_path / 'new'}", "--cpu-devices=1"]
    pod = [f"--coordinator={address}", "--num-processes=2"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "codepretrain", "train", *where, *pod, *own],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for own in (
            ["--process-id=0", "--heartbeat-timeout-s=30"],
            ["--process-id=1", "--heartbeat-timeout-s=3600"],
        )
    ]
    for ended in wait_for_all(processes, timeout_s=200):
        assert ended.returncode == 2, ended.stderr
        [line] = [s for s in ended.stderr.splitlines() if s.startswith("codepretrain: ")]
        assert line.removeprefix("codepretrain: ").removeprefix("process 1: ") == (
            "--heartbeat-timeout-s: expected 30, as in process 0, found 3600; give every process "
            "the same value"
        )


def test_a_run_of_two_processes_does_not_prepare_data(tmp_path: Path) -> None:
    where = [f"--config={TINY}", f"--workdir={tmp_path / 'new'}", "--config.seed=3"]
    with Pod(tmp_path / "pod", num_processes=2) as pod:
        pod.start("run", *where)
        assert pod.codes() == [2, 2]
        outputs = [pod.output(index) for index in range(2)]
    command = f"codepretrain prepare --config {TINY} --workdir {tmp_path / 'new'} --config.seed=3"
    for output in outputs:
        [line] = [text for text in output.splitlines() if text.startswith("codepretrain: ")]
        assert f"run `{command}` on one machine first" in line
    assert not list(tmp_path.glob("new/data/*/*"))


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs a subprocess that ends as a line of shell says, as `run` runs `prepare`."""

    def call(line: str) -> None:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        monkeypatch.setattr(run.sys, "executable", str(program))
        run._call_self(["prepare"])

    return call


def test_a_preparation_that_is_killed_is_told(ends) -> None:
    """The kernel kills it if memory runs out; it cannot say so itself."""
    with pytest.raises(UserError, match=r"`codepretrain prepare` was killed by SIGKILL.*memory"):
        ends("kill -KILL $$")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_preparation_that_is_stopped_stops_the_run(ends, number: int) -> None:
    with pytest.raises(Interrupted) as stopped:
        ends(f"exit {128 + number}")
    assert stopped.value.signal_number == number


def test_a_preparation_that_fails_has_said_why(ends) -> None:
    with pytest.raises(SystemExit) as failed:
        ends("exit 2")
    assert failed.value.code == 2
    ends("exit 0")


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)
def test_a_preparation_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """Otherwise it would hold the data against a second start of the run."""
    child = tmp_path / "child.py"
    child.write_text(
        "import os, pathlib, time\n"
        "from codepretrain.cli.parent import end_with_parent\n"
        "end_with_parent('CODEPRETRAIN_CHILD', 15)\n"
        f"pathlib.Path({str(tmp_path / 'pid.new')!r}).write_text(str(os.getpid()))\n"
        f"os.rename({str(tmp_path / 'pid.new')!r}, {str(tmp_path / 'pid')!r})\n"
        "time.sleep(600)\n"
    )
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {child}\n")
    program.chmod(0o755)
    script = (
        "from codepretrain.cli import run\n"
        f"run.sys.executable = {str(program)!r}\n"
        "run._call_self([])\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait_until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: has_ended(pid))


def wait_until(holds) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "coordinator_address should be defined"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1"}, "Number of processes must be defined"),
    ],
)
def test_a_pod_that_cannot_be_joined(
    tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    where = ["--config", str(TINY), "--workdir", str(tmp_path / "new")]
    result = subprocess.run(
        [sys.executable, "-m", "codepretrain", "train", "--distributed", *where],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **variables},
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("codepretrain: --distributed: cannot join the other processes")
    assert reason in result.stderr
    assert not (tmp_path / "new").exists()


def test_raw_files_that_changed_are_refused_until_they_are_read_again(
    corpora: Path, tmp_path: Path, command
) -> None:
    raw = Path(shutil.copytree(corpora, tmp_path / "raw"))
    where = ["--config", TINY, "--workdir", tmp_path / "work"]
    where += [
        f"--config.data.sources.{kind}.options.path={raw / kind}.jsonl" for kind in ("text", "code")
    ]
    assert command("prepare", *where).returncode == 0
    text = (raw / "text.jsonl").read_text()
    (raw / "text.jsonl").write_text(text.replace("Page 7.", "Page X."))
    for name in ("run", "prepare"):
        result = command(name, *where)
        assert result.returncode == 2, result.stderr
        assert f"{raw / 'text.jsonl'} was altered" in result.stderr
        assert "--reread-changed" in result.stderr
    result = command("prepare", *where, "--reread-changed")
    assert result.returncode == 0, result.stderr
    assert command("prepare", *where).returncode == 0
