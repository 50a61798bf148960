"""A worker of an earlier attempt, suspended and continued, neither joins nor writes.

make test-attempts
"""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codepretrain.checkpoint.integrity import verify
from tests.conftest import TINY
from tests.fixtures.pod import Pod, free_port

pytestmark = pytest.mark.campaign


@pytest.fixture
def train(workdir: Path, tiny_overrides: list[str]) -> Callable[[str], list[str | Path]]:
    where: list[str | Path] = ["--phase", "trunk", "--config", TINY, "--workdir", workdir]
    limit = "--heartbeat-timeout-s=10"
    return lambda attempt: ["train", *where, *tiny_overrides, f"--attempt={attempt}", limit]


def check_whole(workdir: Path) -> None:
    """The run is that of one job: every step is logged once, and no checkpoint is damaged."""
    [run] = (workdir / "runs").glob("trunk-*")
    logged = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert logged == list(range(1, 41))
    checkpoints = [path for path in (run / "checkpoints").iterdir() if path.name.isdigit()]
    assert {path.name for path in checkpoints} >= {"20", "40"}
    for path in checkpoints:
        assert verify(path)[1] == ()


def test_a_process_of_another_attempt_cannot_join(
    tmp_path: Path, workdir: Path, train: Callable
) -> None:
    """It knows the address, because the port is used again."""
    port = free_port()
    with (
        Pod(tmp_path / "new", num_processes=1, has_supervisor=True) as new,
        Pod(tmp_path / "old", num_processes=1, has_supervisor=True) as old,
    ):
        host = [f"--coordinator=localhost:{port}", "--num-processes=2"]
        new.start(*train("trunk-2"), *host, "--process-id=0")
        old.start(*train("trunk-1"), *host, "--process-id=1")
        for pod in (new, old):
            assert pod.codes() == [2], pod.output(0)
            assert (
                "process 1 is of attempt 'trunk-1', process 0 of attempt 'trunk-2'" in pod.output(0)
            )
            assert pod.end(0)["cause"] == "crash"  # another attempt may succeed
    assert not list((workdir / "runs").glob("trunk-*"))


def test_a_suspended_process_1_writes_nothing_later(
    tmp_path: Path, workdir: Path, train: Callable
) -> None:
    with Pod(tmp_path / "old", num_processes=2, stage="step", has_supervisor=True) as old:
        old.start(*train("trunk-1"))
        old.wait_for_stage()
        old.send(signal.SIGSTOP, 1)
        old.send(signal.SIGKILL, 0)
        with Pod(tmp_path / "new", num_processes=2, has_supervisor=True) as new:
            new.start(*train("trunk-2"))
            deadline = time.monotonic() + 120
            while not any("saved_step" in report for report in new.reports(0)):
                assert time.monotonic() < deadline, new.output(0)
                time.sleep(0.1)
            old.send(signal.SIGCONT, 1)
            assert new.codes() == [0, 0], new.output(0)
        assert old.processes[1].wait(30) in (3, -signal.SIGABRT), old.output(1)
    check_whole(workdir)


def test_a_suspended_process_0_holds_the_run_until_it_ends(
    tmp_path: Path, workdir: Path, train: Callable
) -> None:
    with Pod(tmp_path / "old", num_processes=2, stage="step", has_supervisor=True) as old:
        old.start(*train("trunk-1"))
        old.wait_for_stage()
        old.send(signal.SIGSTOP, 0)
        assert old.processes[1].wait(60) == 3, old.output(1)
        assert (old.end(1)["cause"], old.end(1)["is_cascade"]) == ("lost_host", True)
        with Pod(tmp_path / "new", num_processes=2, has_supervisor=True) as new:
            new.start(*train("trunk-2"))
            assert new.codes() == [2, 2], new.output(0)
            assert "is in use by process" in new.output(0)
            assert [new.end(index)["cause"] for index in range(2)] == ["crash"] * 2
        old.send(signal.SIGCONT, 0)
        assert old.processes[0].wait(60) == 3, old.output(0)
    with Pod(tmp_path / "newest", num_processes=2, has_supervisor=True) as newest:
        newest.start(*train("trunk-3"))
        assert newest.codes() == [0, 0], newest.output(0)
    check_whole(workdir)


def test_a_suspended_single_process_holds_the_run(
    tmp_path: Path, workdir: Path, train: Callable
) -> None:
    with Pod(tmp_path / "old", num_processes=1, stage="step", has_supervisor=True) as old:
        old.start(*train("trunk-1"))
        old.wait_for_stage()
        old.send(signal.SIGSTOP)
        with Pod(tmp_path / "new", num_processes=1, has_supervisor=True) as new:
            new.start(*train("trunk-2"))
            assert new.codes() == [2], new.output(0)
            assert new.end(0)["cause"] == "crash"
        old.send(signal.SIGCONT)
        assert old.codes() == [0], old.output(0)
    check_whole(workdir)
