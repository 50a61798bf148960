"""The keeper: how long it keeps the machines of a job."""

from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hold_errors import InUseError
from codepretrain.launch import keeper, record_files
from codepretrain.launch.events import EventWriter, read_events, utc
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.keeper import OrdersWatch, Record, keep, log_file
from codepretrain.launch.records import Orders


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return job_folder(storage.parse(tmp_path), "job")


def order(folder: JobFolder, term: int, *, is_over: bool) -> None:
    record_files.write_orders(folder, Orders(term=term, is_over=is_over), by="test")


class Machines:
    """Machines that are gone at the second tick after the job is over."""

    def __init__(self, record: Record, folder: JobFolder, over_after: int) -> None:
        self.record, self.folder, self.over_after = record, folder, over_after
        self.ticks: list[bool] = []

    def tick(self, *, is_over: bool, now: float) -> bool:
        self.ticks.append(is_over)
        self.record("keeper", message=f"tick {len(self.ticks)}")
        if len(self.ticks) == self.over_after:
            order(self.folder, 3, is_over=True)
        return self.ticks[-2:] == [True, True]


def run(folder: JobFolder, *, over_after: int = 2, leave_after: int = 100) -> Machines:
    made: list[Machines] = []

    def make(record: Record) -> Machines:
        made.append(Machines(record, folder, over_after))
        return made[0]

    keep(
        folder,
        make,
        is_leaving=lambda: len(made[0].ticks) >= leave_after,
        note=print,
        period_s=0.01,
    )
    return made[0]


def test_it_keeps_the_machines_until_they_are_gone(folder: JobFolder) -> None:
    assert run(folder, over_after=3).ticks == [False, False, False, True, True]
    messages = [event["message"] for event in read_events(folder.events)]
    assert messages == [f"tick {number}" for number in range(1, 6)]


def test_it_leaves_when_it_is_told_to_and_another_one_goes_on(folder: JobFolder) -> None:
    assert run(folder, over_after=50, leave_after=2).ticks == [False, False]
    assert run(folder, over_after=1).ticks == [False, True, True]


def test_there_is_one_at_a_time(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "TTL_S", 0.5)
    refused: list[Exception] = []

    class First(Machines):
        def tick(self, *, is_over: bool, now: float) -> bool:
            try:
                run(folder)
            except InUseError as error:
                refused.append(error)
            return True

    keep(
        folder,
        lambda record: First(record, folder, 0),
        is_leaving=lambda: False,
        note=print,
        period_s=0.01,
    )
    assert "keeper is in use by process" in str(refused[0])


def test_events_that_cannot_be_written_do_not_end_it(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, *_: object) -> None:
            raise UserError("cannot write events: No space left on device")

    monkeypatch.setattr(keeper, "EventWriter", Full)
    assert run(folder).ticks == [False, False, True, True]


def test_orders_from_before_do_not_count(folder: JobFolder) -> None:
    order(folder, 2, is_over=True)
    watch = OrdersWatch(folder)
    assert not watch.is_over()  # those of a job that is being resumed
    order(folder, 3, is_over=False)
    assert not watch.is_over()
    order(folder, 3, is_over=True)
    assert watch.is_over()


def test_a_storage_that_fails_is_no_end(folder: JobFolder) -> None:
    watch = OrdersWatch(folder)
    assert not watch.is_over()
    Path(folder.path).mkdir(parents=True, exist_ok=True)
    Path(folder.orders).write_text("{")
    assert not watch.is_over()


def test_where_the_output_of_processes_is(memory: epath.Path, folder: JobFolder) -> None:
    assert log_file(folder, "hosts", 3) == Path(folder.path) / "logs" / "hosts" / "3.log"
    of_store = log_file(job_folder(memory, "job"), "keeper", 0)
    assert of_store.is_absolute()
    assert of_store.name == "codepretrain-job-keeper-0.log"


def test_a_state_says_what_of_the_job_was_known(folder: JobFolder) -> None:
    """So that the clock of the keeper's host does not decide whether it counts."""
    writer = EventWriter(folder.events, "conductor-000001")
    first = {"event": "term", "time": utc(100.0), "term": 1, "seen": {}}
    writer.append([first, {"event": "state", "time": utc(101.0), "state": "QUEUED", "why": ""}])

    class Telling(Machines):
        def tick(self, *, is_over: bool, now: float) -> bool:
            self.record("state", state="QUEUED", why="1 WAITING")
            return True

    keep(
        folder,
        lambda record: Telling(record, folder, 1),
        is_leaving=lambda: False,
        note=print,
        period_s=0.01,
    )
    failed = {"event": "state", "time": utc(102.0), "state": "FAILED", "why": "x"}
    writer.append([failed])
    writer.close()
    told = read_events(folder.events)
    assert [event.get("seen") for event in told if "keeper" in event["writer"]] == [2]
    assert told[-1]["writer"].startswith("keeper"), "its clock is ahead"
    assert fold_events(told).state == "FAILED"
