"""One worker process: its reports, its files and its end."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codepretrain.launch.records import Attempt, End
from codepretrain.launch.worker import Worker

FAKE = Path(__file__).parent / "fake_worker.py"
TIMEOUT_S = 30.0
Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a worker that does what the words say; see `fake_worker.py`."""
    workers: list[Worker] = []

    def run(*words: str, stacks: bool = True, log: Path | None = None) -> Worker:
        attempt = Attempt(
            id="train.trunk-1",
            stage="train.trunk",
            number=1,
            hosts=(0,),
            coordinator=None,
            expected_step=None,
            arguments=(),
        )
        worker = Worker(
            attempt,
            [sys.executable, "-S", str(FAKE), *words],
            dict(os.environ),
            log=log or tmp_path / "out" / "0.log",
            stacks=tmp_path / "stacks.txt" if stacks else None,
            now_s=time.monotonic,
        )
        workers.append(worker)
        return worker

    yield run
    for worker in workers:
        worker.close()


def ended(worker: Worker, *, is_preempted: bool = False) -> End:
    """Waits for the end of a worker."""
    deadline = time.monotonic() + TIMEOUT_S
    while (code := worker.tick()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return worker.how_it_ended(code, is_preempted=is_preempted)


def output_of(worker: Worker) -> str:
    assert worker.log is not None
    return worker.log.read_text()


def wait_for(worker: Worker, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while text not in output_of(worker):
        assert worker.tick() is None, output_of(worker)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_reports_and_ends(start: Start) -> None:
    worker = start("report", '{"activity": "train", "step": 3}', "print", "hello", "exit", "0")
    assert ended(worker) == End(code=0, cause="done", message="hello", step=3)
    assert worker.report is not None
    assert worker.report.activity == "train"
    assert output_of(worker) == "hello\n"


def test_its_own_report_of_its_end_counts(start: Start) -> None:
    end = '{"end": {"code": 2, "cause": "divergence", "is_cascade": false, "message": "nan"}}'
    assert ended(start("report", end, "exit", "2")) == End(
        code=2, cause="divergence", message="nan"
    )


def test_output_of_several_starts_is_kept(start: Start) -> None:
    ended(start("print", "first", "exit", "1"))
    worker = start("print", "second", "exit", "1")
    ended(worker)
    assert output_of(worker) == "first\nsecond\n"


def test_it_saves_and_ends(start: Start) -> None:
    worker = start("save", "0.3", "print", "ready", "wait")
    wait_for(worker, "ready")
    worker.end(grace_s=TIMEOUT_S)
    worker.end(grace_s=TIMEOUT_S)  # once more changes nothing
    end = ended(worker)
    assert (end.code, end.cause, end.message) == (143, "stopped", "saved")
    assert worker.report is not None
    assert worker.report.saved_step == 7


def test_a_stop_on_a_machine_that_was_told_to_leave_is_a_preemption(start: Start) -> None:
    worker = start("save", "0", "print", "ready", "wait")
    wait_for(worker, "ready")
    worker.end(grace_s=TIMEOUT_S)
    assert ended(worker, is_preempted=True).cause == "preemption"


def test_one_that_does_not_end_is_killed_after_the_grace_period(start: Start) -> None:
    worker = start("deaf", "print", "ready", "wait")
    wait_for(worker, "ready")
    worker.end(grace_s=0.3)
    end = ended(worker)
    assert (end.code, end.cause, end.is_cascade) == (-signal.SIGKILL, "stopped", True)


def test_a_killed_one_writes_its_stacks_first(start: Start) -> None:
    worker = start("stacks", "print", "ready", "wait")
    wait_for(worker, "ready")
    worker.kill()
    assert ended(worker).code == -signal.SIGKILL
    assert worker.stacks is not None
    assert "fake_worker.py" in worker.stacks.read_text()


def test_one_without_a_handler_is_killed_all_the_same(start: Start) -> None:
    """SIGUSR1 alone would end it, as if it had ended by itself."""
    worker = start("print", "ready", "wait")
    wait_for(worker, "ready")
    worker.kill()
    assert ended(worker).code == -signal.SIGKILL


def test_a_stopped_one_is_killed_without_its_stacks(start: Start) -> None:
    worker = start("stacks", "print", "ready", "wait")
    wait_for(worker, "ready")
    os.kill(worker.pid, signal.SIGSTOP)
    worker.kill()
    end = ended(worker)
    assert (end.code, end.cause, end.is_cascade) == (-signal.SIGKILL, "stopped", True)


def test_what_it_told_before_it_was_killed_counts(start: Start) -> None:
    """It was on its way out, and waited for the others."""
    told = '{"end": {"code": 1, "cause": "crash", "is_cascade": false, "message": "a defect"}}'
    worker = start("report", told, "print", "ready", "wait")
    wait_for(worker, "ready")
    worker.tick()
    worker.kill()
    end = ended(worker)
    assert (end.cause, end.is_cascade, end.message) == ("crash", False, "a defect")


def test_one_killed_by_somebody_else_crashed(start: Start) -> None:
    worker = start("report", '{"step": 4}', "print", "last words", "wait")
    wait_for(worker, "last words")
    os.kill(worker.pid, signal.SIGKILL)
    message = "killed by SIGKILL; last output: last words"
    expected = End(code=-signal.SIGKILL, cause="crash", message=message, step=4)
    assert ended(worker) == expected


@pytest.mark.parametrize("how", ["exits", "is killed"])
def test_no_process_of_its_group_stays(start: Start, how: str) -> None:
    worker = start("child", *(("exit", "0") if how == "exits" else ("print", "ready", "wait")))
    if how == "is killed":
        wait_for(worker, "ready")
        worker.kill()
    ended(worker)
    child = int(output_of(worker).split()[0])
    deadline = time.monotonic() + TIMEOUT_S
    while _is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_it_gets_no_descriptor_but_its_pipe(start: Start, tmp_path: Path) -> None:
    inherited = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    worker = start("print", "ready", "wait")
    wait_for(worker, "ready")
    targets = {os.readlink(path) for path in Path(f"/proc/{worker.pid}/fd").iterdir()}
    os.close(inherited)
    assert str(tmp_path) not in targets
    assert len([target for target in targets if target.startswith("pipe:")]) == 1


def test_a_program_that_cannot_be_started_leaves_no_pipe_open(tmp_path: Path) -> None:
    attempt = Attempt(
        id="a-1",
        stage="a",
        number=1,
        hosts=(0,),
        coordinator=None,
        expected_step=None,
        arguments=(),
    )
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Worker(attempt, [str(tmp_path / "none")], {}, log=None, stacks=None, now_s=time.monotonic)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("how", ["end", "kill"])
def test_an_order_to_end_crosses_the_end(start: Start, how: str) -> None:
    """It ends by itself before the order reaches it: nothing else may reap it."""
    worker = start("print", "ready", "exit", "5")
    stat = Path(f"/proc/{worker.pid}/stat")
    deadline = time.monotonic() + TIMEOUT_S
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if how == "end":
        worker.end(grace_s=TIMEOUT_S)
    else:
        worker.kill()
    assert ended(worker).code == 5
