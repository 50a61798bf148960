"""A command as the worker of a supervisor: this process stands in for it."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY
from tests.fixtures.descendants import descendants, wait_for_end
from tests.fixtures.pod import TIMEOUT_S, Pod

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="two processes on CPUs, with gloo")


@pytest.fixture
def train(workdir: Path, tiny_overrides: list[str]) -> list[str | Path]:
    return ["train", "--phase", "trunk", "--config", TINY, "--workdir", workdir, *tiny_overrides]


def wait_until(condition: Callable[[], bool], pod: Pod) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, pod.output(0)
        time.sleep(0.05)


def test_a_phase_on_two_processes_is_reported(tmp_path: Path, train: list) -> None:
    with Pod(tmp_path / "pod", num_processes=2, has_supervisor=True, stage="step") as pod:
        pod.start(*train)
        assert pod.codes() == [0, 0], pod.output(0)
        reports = [pod.reports(index) for index in range(2)]
    for lines in reports:
        assert lines[0] == {"activity": "init"}
        resumed = [number for number, line in enumerate(lines) if "resumed_step" in line]
        [first] = resumed
        assert lines[first].items() >= {"phase": "trunk", "resumed_step": 0, "step": 0}.items()
        assert not any("saved_step" in line or "facts" in line for line in lines[:first])
        assert [line["saved_step"] for line in lines if "saved_step" in line] == [20, 40]
        state: dict = {}
        for line in lines:
            state |= line
        assert state["step"] == 40
        assert state["step_s"] >= 0.1
        assert state["facts"].keys() == {
            *("phase", "num_steps", "loss", "tokens", "tokens_per_s", "mfu", "goodput")
        }
        assert (state["facts"]["phase"], state["facts"]["num_steps"]) == ("trunk", 40)
        assert state["facts"]["tokens"] == 40 * 512
        assert state["end"] == {"code": 0, "cause": "done", "is_cascade": False, "message": ""}
        assert {line["activity"] for line in lines if "activity" in line} >= {"init", "train"}


def test_a_resume_from_an_earlier_step_than_expected_is_damage(
    tmp_path: Path, workdir: Path, train: list
) -> None:
    """Both refuse before they train, and write nothing; or one, and the other hears of it first."""
    with Pod(tmp_path / "pod", num_processes=2, has_supervisor=True) as pod:
        pod.start(*train, env={"CODEPRETRAIN_EXPECTED_STEP": "20"})
        assert pod.codes() == [2, 2], pod.output(0)
        for index in range(2):
            [line] = [one for one in pod.output(index).splitlines() if "codepretrain: " in one]
            assert "expected to resume from step 20, which was saved, found step 0 in" in line
            assert pod.end(index)["cause"] == "damage"
            has_refused = any(report.get("resumed_step") == 0 for report in pod.reports(index))
            is_told = f"process {1 - index}: phase" in line
            assert pod.end(index)["is_cascade"] == is_told
            assert has_refused or is_told
        assert not all(pod.end(index)["is_cascade"] for index in range(2))
    [run] = (workdir / "runs").glob("trunk-*")
    assert not (run / "metrics.jsonl").exists()
    assert not (run / "checkpoints").exists()


def test_the_end_of_a_defect_and_of_the_process_that_follows_it(
    tmp_path: Path, train: list
) -> None:
    with Pod(tmp_path / "pod", num_processes=2, has_supervisor=True, stage="defect-1") as pod:
        pod.start(*train)
        assert pod.codes() == [1, 1], pod.output(0)
        follower, failed = pod.end(0), pod.end(1)
    assert (failed["cause"], failed["is_cascade"]) == ("crash", False)
    assert failed["message"] == "ZeroDivisionError: a defect"
    assert (follower["cause"], follower["is_cascade"]) == ("crash", True)
    assert follower["message"] == "process 1: ZeroDivisionError: a defect"


def test_the_end_of_a_worker_that_is_stopped_while_it_imports(tmp_path: Path, train: list) -> None:
    with Pod(tmp_path / "pod", num_processes=1, has_supervisor=True) as pod:
        pod.start(*train)
        wait_until(lambda: pod.reports(0) != [], pod)
        pod.send(signal.SIGTERM)
        assert pod.codes() == [143], pod.output(0)
        assert (pod.end(0)["code"], pod.end(0)["cause"]) == (143, "preemption")


def test_the_end_of_a_mistake(tmp_path: Path) -> None:
    with Pod(tmp_path / "pod", num_processes=1, has_supervisor=True) as pod:
        pod.start("train", "--config", TINY, "--phase", "none", "--workdir", tmp_path / "new")
        assert pod.codes() == [2], pod.output(0)
        end = pod.end(0)
    assert (end["code"], end["cause"], end["is_cascade"]) == (2, "user_error", False)
    assert end["message"].startswith("--phase: there is no phase 'none'")


def test_the_stacks_of_a_worker_that_compiles_and_of_one_that_waits_for_it(
    tmp_path: Path, train: list
) -> None:
    """One blocks in C, where no Python handler can run; the other one waits for it in gloo."""
    with Pod(tmp_path / "pod", num_processes=2, has_supervisor=True, stage="stuck-1") as pod:
        pod.start(*train)
        pod.wait_for_stage(markers=2)
        wait_until(lambda: _step(pod, 0) == 5, pod)
        time.sleep(1.0)
        for index in range(2):
            pod.send(signal.SIGUSR1, index)
            wait_until(functools.partial(_has_text, pod.stacks(index)), pod)
        time.sleep(1.0)  # the whole of it
        waiting, stuck = _text(pod.stacks(0)), _text(pod.stacks(1))
        assert [process.poll() for process in pod.processes] == [None, None]
    assert "Current thread" in waiting
    assert "train/step_log.py" in waiting
    assert "in block" in stuck
    assert stuck.count("Thread 0x") >= 3


def _step(pod: Pod, index: int) -> int:
    return max((line["step"] for line in pod.reports(index) if "step" in line), default=0)


def _has_text(path: Path) -> bool:
    return bool(_text(path))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("stage", ["compile", "step"])
def test_workers_die_with_their_supervisor(tmp_path: Path, train: list, stage: str) -> None:
    """The supervisor stand-in is a process of its own, which is killed."""
    script = (
        "import sys, time, pathlib\n"
        "from tests.fixtures.pod import Pod\n"
        "pod = Pod(pathlib.Path(sys.argv[1]), num_processes=1, stage=sys.argv[2], "
        "has_supervisor=True).__enter__()\n"
        "pod.start(*sys.argv[3:])\n"
        "pod.wait_for_stage()\n"
        "print(pod.processes[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "pod", stage, *train]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        supervisor.kill()
    deadline = time.monotonic() + 20
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_children_of_a_worker_die_with_its_supervisor(
    tmp_path: Path, tiny_overrides: list[str]
) -> None:
    """Those that prepare data, in a stage of its own."""
    script = (
        "import sys, time, pathlib\n"
        "from tests.fixtures.pod import Pod\n"
        "pod = Pod(pathlib.Path(sys.argv[1]), num_processes=1, has_supervisor=True).__enter__()\n"
        "pod.start(*sys.argv[2:])\n"
        "print(pod.processes[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    prepare = ["prepare", "--config", TINY, "--workdir", tmp_path / "new", "--num-workers=2"]
    command = [sys.executable, "-c", script, tmp_path / "pod", *prepare, *tiny_overrides]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        deadline = time.monotonic() + TIMEOUT_S
        while len(family := descendants(pid)) < 3:  # two workers, and what tracks their resources
            assert time.monotonic() < deadline
            time.sleep(0.01)
        supervisor.kill()
    wait_for_end(family, timeout_s=20)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_worker_whose_supervisor_is_another_process_ends_at_once(train: list) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "codepretrain", *map(str, train)],
        env={**os.environ, "CODEPRETRAIN_SUPERVISOR": "1"},
        cwd=ROOT,
    )
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CODEPRETRAIN_PROGRESS_FD", "900", "CODEPRETRAIN_PROGRESS_FD=900: Bad file descriptor"),
        ("CODEPRETRAIN_PROGRESS_FD", "x", "CODEPRETRAIN_PROGRESS_FD: expected a number, found 'x'"),
        (
            "CODEPRETRAIN_STACKS",
            "/none/x",
            "CODEPRETRAIN_STACKS=/none/x: No such file or directory",
        ),
    ],
)
def test_a_variable_that_means_nothing(variable: str, value: str, message: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "codepretrain", "plan", "--config", TINY],
        env={**os.environ, variable: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (2, f"codepretrain: {message}\n")
