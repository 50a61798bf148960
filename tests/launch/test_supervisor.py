"""A supervisor with fake workers: what it starts, what it ends, and what does not disturb it."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hold_errors import InUseError
from codepretrain.launch import exchange, record_files
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.records import End, Orders
from tests.launch.supervised import Supervised, wait_for

READY = ("print", "ready", "wait")
Make = Callable[..., Supervised]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Supervised] = []

    def make(**watchdog: float) -> Supervised:
        made.append(
            Supervised(storage.parse(tmp_path / "workdir"), tmp_path / "scratch", **watchdog)
        )
        return made[-1]

    yield make
    for supervised in made:
        supervised.close()


def start_worker(host: Supervised, number: int, *words: str) -> None:
    host.order(host.attempt(number, *words))
    host.wait(lambda r: r.attempt == f"train.trunk-{number}" and r.is_running)


def test_it_reports_itself_while_there_is_nothing_to_do(make: Make) -> None:
    host = make().start()
    first = host.wait(lambda r: r.beat >= 2)
    later = host.wait(lambda r: r.beat >= 4)
    assert first.boot == later.boot
    assert (later.attempt, later.is_running, later.report, later.end) == (None, False, None, None)
    assert later.address.startswith("127.0.0.1:")


def test_it_runs_the_worker_of_an_attempt_once(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    report = {"activity": "train", "step": 12, "saved_step": 10}
    host.order(host.attempt(1, "report", json.dumps(report), "print", "done", "exit", "0"))
    record = host.wait(lambda r: r.end)
    assert record.attempt == "train.trunk-1"
    assert not record.is_running
    assert record.end == End(code=0, cause="done", message="done", step=12)
    assert record.report is not None
    assert record.report.saved_step == 10
    record = host.wait_beats()  # the orders still name it
    assert record.end is not None
    assert host.log("train.trunk-1") == "done\n"


def test_reports_reach_the_record(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "report", '{"activity": "compile", "counter": 3}', *READY)
    record = host.wait(lambda r: r.report and r.report.activity == "compile")
    assert record.report is not None
    assert record.report.counter == 3
    host.wait(lambda r: r.report and r.report.idle_s >= 0.3)


def test_the_next_attempt_starts_afresh_with_another_address(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "report", '{"step": 4}', "exit", "1")
    first = host.wait(lambda r: r.end)
    start_worker(host, 2, *READY)
    second = host.wait_beats()
    assert second.attempt == "train.trunk-2"
    assert (second.report, second.end) == (None, None)
    host.order(host.attempt(3))
    ended = host.wait(lambda r: r.end and r.attempt != "train.trunk-1")  # 2, or already 3
    assert ended.address != first.address


@pytest.mark.parametrize(("how", "code"), [("ending", 143), ("killing", -signal.SIGKILL)])
def test_orders_to_end(make: Make, how: str, code: int) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "save", "0", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    host.order(**{how: ("train.trunk-1",)})
    record = host.wait(lambda r: r.end)
    assert record.end is not None
    assert (record.end.code, record.end.cause) == (code, "stopped")
    assert record.end.is_cascade == (how == "killing")


def test_a_worker_that_does_not_end_is_killed_after_the_grace_period(make: Make) -> None:
    host = make(grace_s=0.3).start()
    host.wait_beats()
    start_worker(host, 1, "deaf", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    host.order(ending=("train.trunk-1",))
    record = host.wait(lambda r: r.end)
    assert record.end is not None
    assert record.end.code == -signal.SIGKILL


def test_the_stacks_of_a_killed_worker_are_in_the_folder_of_the_job(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "stacks", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    host.order(killing=("train.trunk-1",))
    host.wait(lambda r: r.end)
    assert "fake_worker.py" in storage.read_text(host.folder.stacks("train.trunk-1", 0))


def test_an_attempt_that_is_over_ends_the_worker(make: Make) -> None:
    """As after a takeover: the new conductor does not know of it."""
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    host.term = 2
    host.order()
    record = host.wait(lambda r: r.end)
    assert record.end is not None
    assert record.end.code == -signal.SIGKILL
    assert "train.trunk-1 is over: kills its worker" in host.notes


def test_one_that_was_ordered_to_end_before_it_began_is_not_started(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    attempt = host.attempt(1, *READY)
    host.order(ending=("train.trunk-1",))
    host.wait_beats()
    host.order(attempt)
    assert host.wait_beats().attempt is None


def test_orders_of_an_older_term_are_ignored(make: Make) -> None:
    host = make()
    host.term = 5
    host.start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    host.term = 4
    host.order(killing=("train.trunk-1",))
    host.wait_beats()
    host.order(host.attempt(2, "exit", "0"), is_over=True)
    record = host.wait_beats()
    assert record.attempt == "train.trunk-1"
    assert record.is_running


@pytest.mark.parametrize("file", ["missing", "different"])
def test_an_attempt_is_started_only_if_its_file_says_the_same(make: Make, file: str) -> None:
    host = make().start()
    host.wait_beats()
    attempt = host.attempt(1, *READY)
    if file == "missing":
        storage.remove(host.folder.attempts / "train.trunk-1.json")
    host.order(attempt if file == "missing" else replace(attempt, hosts=(0, 1)))
    assert host.wait_beats().attempt is None
    if file == "different":
        assert any("attempts/train.trunk-1.json differs" in note for note in host.notes)
        return
    host.attempt(1, *READY)  # now it is there
    host.wait(lambda r: r.is_running)


def test_attempts_of_other_hosts_are_not_started(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    host.order(host.attempt(1, *READY, hosts=(1, 2)))
    assert host.wait_beats().attempt is None


def test_a_supervisor_that_starts_again_does_not_start_its_attempt_again(make: Make) -> None:
    host = make(grace_s=0.2).start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    before = host.wait_beats()
    host.signal_number = signal.SIGTERM
    host.wait_end()
    host.start()
    record = host.wait(lambda r: r.boot != before.boot and r.beat >= 3)
    assert (record.attempt, record.is_running) == (None, False)
    start_worker(host, 2, *READY)


def test_a_signal_to_leave(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "save", "0.5", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    host.signal_number = signal.SIGTERM
    record = host.wait(lambda r: r.is_preempted)
    assert record.is_running
    host.wait_end()
    assert host.error is None
    record = host.wait(lambda r: True)
    assert record.is_preempted
    assert not record.is_running
    assert record.end == End(code=143, cause="preemption", message="saved")
    assert record.report is not None
    assert record.report.saved_step == 7


def test_a_signal_to_leave_ends_a_deaf_worker_within_the_grace_period(make: Make) -> None:
    host = make(grace_s=1.0).start()
    host.wait_beats()
    start_worker(host, 1, "deaf", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    host.signal_number = signal.SIGTERM
    host.wait_end()
    record = host.wait(lambda r: True)
    assert record.end is not None
    assert record.end.code == -signal.SIGKILL


def test_one_that_leaves_starts_nothing(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "save", "0.5", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    host.signal_number = signal.SIGTERM
    host.wait(lambda r: r.is_preempted)
    host.order(host.attempt(2, *READY))
    host.wait_end()
    assert host.wait(lambda r: True).attempt == "train.trunk-1"


def test_it_ends_when_the_job_is_over(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, "exit", "0")
    host.wait(lambda r: r.end)
    host.order(is_over=True)
    host.wait_end()
    assert host.error is None
    assert host.supervisor is not None
    assert host.supervisor.is_over


def test_orders_from_before_it_started_do_not_end_it(make: Make) -> None:
    """A job that was over is resumed: the conductor of the next term says how it goes on."""
    host = make()
    host.order(is_over=True)
    host.start()
    host.wait_beats()
    host.term = 2
    start_worker(host, 1, *READY)
    host.order(is_over=True)
    host.wait_end()


def test_a_worker_that_cannot_be_started_is_reported(make: Make) -> None:
    host = make()
    host.start()
    host.wait_beats()
    assert host.supervisor is not None
    missing = replace(host.supervisor._starter._settings, command=("/no/such/program",))
    host.supervisor._starter._settings = missing
    host.order(host.attempt(1, *READY))
    record = host.wait(lambda r: r.end)
    assert record.end is not None
    assert record.end.cause == "crash"
    assert "cannot start the worker: [Errno 2]" in record.end.message


# A storage that fails


def failing(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[bool]:
    """Makes functions of `record_files` fail while the returned list is not empty."""
    fails = [True]

    def broken(name: str) -> Callable[..., object]:
        original = getattr(record_files, name)

        def call(*arguments: object, **options: object) -> object:
            if fails:
                raise UserError("cannot write: No space left on device")
            return original(*arguments, **options)

        return call

    for name in names:
        monkeypatch.setattr(exchange.record_files, name, broken(name))
    return fails


@pytest.mark.parametrize("what", ["write_host", "read_orders"])
def test_a_storage_that_fails_for_a_while_ends_no_worker(
    make: Make, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    pid = int(
        wait_for(lambda: [n for n in host.notes if "started process" in n])[0].split()[3][:-1]
    )
    fails = failing(monkeypatch, what)
    wait_for(lambda: [n for n in host.notes if "No space left on device; tries again" in n])
    time.sleep(5 * 0.05)
    os.kill(pid, 0)
    fails.clear()
    wait_for(lambda: [n for n in host.notes if "the storage works again" in n])
    record = host.wait_beats()
    assert record.is_running
    assert len([n for n in host.notes if "tries again" in n]) == 1  # not one for each try


def test_a_storage_that_does_not_answer_delays_neither_signals_nor_the_end_of_the_worker(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make(grace_s=1.0).start()
    host.wait_beats()
    start_worker(host, 1, "save", "0", *READY)
    wait_for(lambda: host.log("train.trunk-1"))
    answers = exchange.threading.Event()
    monkeypatch.setattr(
        exchange.record_files, "read_orders", lambda folder: answers.wait(60) and None
    )
    time.sleep(0.2)
    host.signal_number = signal.SIGTERM
    host.wait_end()  # without its last record
    assert [n for n in host.notes if "ended with 143" in n]
    answers.set()


def test_a_storage_that_fails_at_the_start_is_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make()
    fails = failing(monkeypatch, "read_orders")
    host.order(host.attempt(1, *READY))  # of an earlier supervisor
    host.start()
    wait_for(lambda: [n for n in host.notes if "tries again" in n])
    assert host.record is None  # it would be given work before it knows what it was given
    fails.clear()
    assert host.wait_beats().attempt is None


def test_a_job_folder_that_takes_no_files_costs_the_output_not_the_worker(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    Path(host.folder.path / "logs").write_text("in the way")
    Path(host.folder.path / "stacks").write_text("in the way")
    start_worker(host, 1, *READY)
    assert wait_for(lambda: [p for p in host.scratch.iterdir() if p.read_text() == "ready\n"])
    Path(host.folder.path / "logs").unlink()
    host.order(killing=("train.trunk-1",))
    host.wait(lambda r: r.end)
    wait_for(lambda: host.log("train.trunk-1") == "ready\n", host.described)


def test_no_place_at_all_for_output(make: Make) -> None:
    host = make()
    host.scratch.write_text("in the way")
    host.start()
    host.wait_beats()
    Path(host.folder.path / "logs").write_text("in the way")
    Path(host.folder.path / "stacks").write_text("in the way")
    start_worker(host, 1, *READY)
    assert host.wait_beats().is_running


def test_a_job_folder_that_is_removed_ends_no_worker(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    before = host.wait_beats()
    shutil.rmtree(host.folder.path)
    after = host.wait(lambda r: r.beat > before.beat + 2)
    assert after.is_running


# Suspension, and another supervisor


def test_one_that_was_suspended_obeys_nothing_it_read_before(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped after it has read the orders; the attempts in them are over when it goes on."""
    host = make()
    suspended_s = [0.0]
    host.now_s = lambda: time.monotonic() + suspended_s[0]
    host.start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    host.wait_beats()
    read, later = record_files.read_orders, host.attempt(2, *READY)

    def read_and_stop(folder: JobFolder) -> Orders | None:
        if suspended_s[0]:
            return read(folder)
        found = Orders(term=1, running=(later,))
        suspended_s[0] = 100.0
        host.order()
        return found

    monkeypatch.setattr(exchange.record_files, "read_orders", read_and_stop)
    record = host.wait(lambda r: r.end)
    assert record.attempt == "train.trunk-1"
    assert host.wait_beats().attempt == "train.trunk-1"
    assert "was suspended for 100 s: reads the orders first" in host.notes


def test_a_host_that_another_supervisor_has_taken_is_left(make: Make) -> None:
    host = make().start()
    host.wait_beats()
    start_worker(host, 1, *READY)
    pid = int(
        wait_for(lambda: [n for n in host.notes if "started process" in n])[0].split()[3][:-1]
    )
    host.is_taken = InUseError("0.lease is in use by process 7 on other")
    host.wait_end()
    assert isinstance(host.error, InUseError)
    assert "host 0: 0.lease is in use by process 7" in str(host.error)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
