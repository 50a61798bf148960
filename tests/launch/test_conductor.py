"""The conductor on real files: killed between any two writes, superseded, and without its store."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import journal, storage
from codepretrain.files.hold_errors import LeaseLostError
from codepretrain.launch import conductor as conductor_module
from codepretrain.launch import record_files
from codepretrain.launch.conductor import Conductor, conduct
from codepretrain.launch.events import Event, read_events
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Job, Request
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.machine import BudgetConfig
from codepretrain.launch.records import Attempt, End, HostRecord, Orders
from codepretrain.launch.states import JobState
from tests.launch.random_faults import job, phase, single
from tests.launch.simulated_conductor import TICK_S
from tests.launch.simulator import World


class Killed(BaseException):
    """Not an Exception: nothing in the conductor may handle it."""


class Writes:
    """Counts the writes of the conductor, and kills it at one of them, before or after it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.kills_at: int | None = None
        self.is_after = False
        for owner, name in (
            (record_files, "write_text"),
            (record_files, "create"),
            (conductor_module, "create"),
            (journal.Journal, "append"),
        ):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            is_this = self.count == self.kills_at
            if is_this and not self.is_after:
                raise Killed
            result = write(*arguments, **options)
            if is_this:
                raise Killed
            return result

        return counted


class Files(World):
    """Simulated hosts whose records and orders are files, under the real conductor."""

    def __init__(self, folder: JobFolder, plan: Job) -> None:
        super().__init__(plan, seed=0, faults={})
        self.folder = folder
        self.real: Conductor | None = None
        self.clock_s = 0.0
        self.num_killed = 0
        self.last: JobState | None = None

    def begin(self) -> Conductor:
        return Conductor(self.folder, clock=lambda: self.now_s, steady=lambda: self.clock_s)

    def _conduct(self) -> None:
        for record in self.records.values():
            record_files.write_host(self.folder, record)
        self.clock_s += TICK_S
        try:
            if self.real is None:
                self.real = self.begin()
            self.real.round()
        except Killed:
            self.close()
            self.num_killed += 1
        try:
            self.orders = record_files.read_orders(self.folder)
        except UserError:
            self.orders = None
        for name in record_files.used_numbers(self.folder):
            for number in range(1, 10):
                try:
                    attempt = record_files.read_attempt(self.folder, f"{name}-{number}")
                except UserError:
                    break
                self.attempts[attempt.id] = attempt

    def close(self) -> None:
        if self.real is not None:
            self.real.__exit__()
        self.real = None

    def finish(self, max_ticks: int = 200) -> tuple[JobState, list[Event]]:
        for _ in range(max_ticks):
            self.tick += 1
            self.now_s += TICK_S
            for fault in self.faults.get(self.tick, []):
                fault(self)
            self._conduct_and_cycle()
            self._advance_machines()
            for gang in list(self.gangs.values()):
                self._advance(gang)
            if self.real is not None and self.real.state.is_over:
                self.last = self.real.state
                self.close()
                break
        events = read_events(self.folder.events)
        return fold_events(events), events


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(epath.Path(tmp_path / "jobs" / "j"))


@pytest.fixture
def stored(tmp_path: Path) -> JobFolder:
    """In an object store, where nothing can be appended to."""
    return JobFolder(storage.parse(f"memory://bucket/{tmp_path.name}/jobs/j"))


def plan(**fields: Any) -> Job:
    return job(phase("a", steps=6), single("report", "train.a"), hosts=2, **fields)


def outcome(events: list[Event]) -> list[tuple[str, str]]:
    return [(e["stage"], e["cause"]) for e in events if e["event"] == "end"]


def test_a_job_on_files(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = Writes(monkeypatch)
    record_files.create_job(folder, plan(), by="test")
    world = Files(folder, plan())
    state, events = world.finish()
    assert state.state == "DONE"
    assert state == world.last
    assert outcome(events) == [("train.a", "done"), ("report", "done")]
    assert record_files.read_orders(folder) == Orders(term=1, is_over=True)
    assert writes.count > 30


def test_a_job_in_an_object_store(stored: JobFolder) -> None:
    record_files.create_job(stored, plan(), by="test")
    world = Files(stored, plan())
    world.faults = {14: [crash]}
    for _ in range(18):
        world.finish(max_ticks=1)
    world.close()  # another conductor goes on
    state, events = world.finish()
    assert state == world.last
    assert outcome(events) == [("train.a", "crash"), ("train.a", "done"), ("report", "done")]
    assert {e["writer"] for e in events} == {"conductor-000001", "conductor-000002"}


def crash(world: World) -> None:
    """The worker of host 1 is killed."""
    worker = world.hosts[1].worker
    worker.end = End(code=-9, cause="crash", message="killed", step=worker.step)


def _killed(folder: JobFolder, kills_at: int | None, *, is_after: bool) -> tuple[Files, int]:
    """Runs a job with a crash; the conductor is killed at one of its writes."""
    record_files.create_job(folder, plan(), by="test")
    world = Files(folder, plan())
    world.faults = {14: [crash]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # no power is lost here, and it takes long
        writes = Writes(patch)
        _kill_conductor_only(patch, writes)
        writes.kills_at, writes.is_after = kills_at, is_after
        world.finish()
    return world, writes.count


@pytest.mark.parametrize("is_after", [False, True])
def test_killed_at_every_write(tmp_path: Path, is_after: bool) -> None:
    _, total = _killed(JobFolder(epath.Path(tmp_path / "whole")), None, is_after=False)
    assert total > 35
    for kills_at in range(1, total + 1):
        folder = JobFolder(epath.Path(tmp_path / str(kills_at)))
        world, _ = _killed(folder, kills_at, is_after=is_after)
        events = read_events(folder.events)
        assert (world.num_killed, world.problems) == (1, []), kills_at
        expected = [("train.a", "crash"), ("train.a", "done"), ("report", "done")]
        assert outcome(events) == expected, kills_at
        started = [e["attempt"] for e in events if e["event"] == "attempt"]
        assert len(started) == len(set(started)) == 3, kills_at
        states = [e["state"] for e in events if e["event"] == "state"]
        again = ["RESTARTING", "STARTING", "RUNNING"]
        first = ["QUEUED", "PROVISIONING", "STARTING", "RUNNING"]
        assert states == [*first, *again, "DONE"], kills_at
        assert fold_events(events) == world.last, kills_at
        _check_ran_once(world)


def _kill_conductor_only(patch: pytest.MonkeyPatch, writes: Writes) -> None:
    """The records of hosts are written by others: those writes do not count."""

    def write_host(folder: JobFolder, record: Any) -> None:
        count, kills_at = writes.count, writes.kills_at
        writes.kills_at = None
        host_writer(folder, record)
        writes.count, writes.kills_at = count, kills_at

    host_writer = record_files.write_host
    patch.setattr(record_files, "write_host", write_host)


def _check_ran_once(world: Files) -> None:
    """Every gang that ran had its file, and its workers were started once."""
    for name, gang in world.gangs.items():
        assert world.attempts[name] == gang.attempt
        assert set(gang.workers) <= set(gang.attempt.hosts)


def test_a_number_that_has_a_file_is_not_used_again(folder: JobFolder) -> None:
    record_files.create_job(folder, plan(), by="test")
    world = Files(folder, plan())
    world.real = world.begin()
    other = replace_number(folder)
    state, events = world.finish()
    assert state.state == "DONE"
    assert [e["attempt"] for e in events if e["event"] == "attempt"] == ["train.a-2", "report-1"]
    assert record_files.read_attempt(folder, "train.a-1") == other


def replace_number(folder: JobFolder) -> Any:
    """Another conductor creates the first attempt, and does no more."""
    attempt = Attempt(
        id="train.a-1",
        stage="train.a",
        number=1,
        hosts=(0, 1),
        coordinator="x:1",
        expected_step=None,
        arguments=("train",),
    )
    assert record_files.create_attempt(folder, attempt, by="another")
    assert not record_files.create_attempt(folder, replace(attempt, coordinator="y:1"), by="a")
    return attempt


def test_a_conductor_ends_when_a_later_term_has_begun(folder: JobFolder) -> None:
    record_files.create_job(folder, plan(), by="test")
    world = Files(folder, plan())
    first, second = world.begin(), world.begin()
    assert (first.term, second.term) == (1, 2)
    with first, second:
        second.round()
        with pytest.raises(LeaseLostError, match="term 2 has taken over"):
            first.round()
    # What the first one wrote after the second had read its events does not count.
    events = read_events(folder.events)
    assert {e["writer"] for e in events if e["event"] != "term"} == {"conductor-000002"}


def test_time_without_the_store_is_no_silence(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_files.create_job(folder, plan(), by="test")
    world = Files(folder, plan())
    for _ in range(8):
        world.finish(max_ticks=1)
    num_before = len(read_events(folder.events))

    def fail(*_: Any, **__: Any) -> None:
        raise UserError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(record_files, "read_hosts", fail)
        for _ in range(20):
            world.clock_s += TICK_S
            world.real.round()
    assert len(read_events(folder.events)) == num_before
    state, events = world.finish()
    assert state.state == "DONE"
    assert [cause for _, cause in outcome(events)] == ["done", "done"]


def test_events_never_go_back_in_time(folder: JobFolder) -> None:
    record_files.create_job(folder, plan(), by="test")
    world = Files(folder, plan())
    for _ in range(8):
        world.finish(max_ticks=1)
    world.close()
    world.now_s -= 7200
    state, events = world.finish()
    assert state.state == "DONE"
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert events[-1]["writer"] == "conductor-000002"


@pytest.mark.parametrize(("silent_s", "expected_s"), [(0.0, 20.0), (10.0, 10.0), (60.0, 10.0)])
def test_the_host_of_a_conductor_that_was_silent_is_lost_the_sooner(
    folder: JobFolder, silent_s: float, expected_s: float
) -> None:
    """Seconds in which its lease was not renewed are seconds of silence, up to half of them."""
    record_files.create_job(folder, plan(), by="test")
    clock_s, beats = 100.0, {0: 1, 1: 1}
    records = {h: HostRecord(host=h, boot="a", beat=1, address=f"h{h}:1") for h in beats}

    def beat(*hosts: int) -> None:
        for host in hosts:
            beats[host] += 1
            record_files.write_host(folder, replace(records[host], beat=beats[host]))

    def events(kind: str) -> list[Event]:
        return [e for e in read_events(folder.events) if e["event"] == kind]

    with Conductor(folder, host=0, steady=lambda: clock_s) as first:
        while not events("attempt"):
            clock_s += 1.0
            beat(0, 1)
            first.round()
    with Conductor(folder, host=1, silent_s=silent_s, steady=lambda: clock_s) as second:
        begun_s = clock_s
        while not events("lost_host"):
            second.round()
            clock_s += 1.0
            beat(1)
            assert clock_s < begun_s + 60
    assert [e["host"] for e in events("lost_host")] == [0]
    assert clock_s - begun_s == pytest.approx(expected_s + 2)


@pytest.mark.parametrize("ahead_s", [0.0, 3600.0])
def test_a_takeover_by_a_host_whose_clock_is_ahead_costs_nothing(
    folder: JobFolder, ahead_s: float
) -> None:
    """Charged are the seconds that were seen to pass: the job is not over its budget."""
    two = plan(budget=BudgetConfig(max_chip_hours=2 * 100 / 3600))
    record_files.create_job(folder, two, by="test")
    clock_s, beats = 100.0, {0: 1, 1: 1}

    def beat() -> None:
        nonlocal clock_s
        clock_s += 1.0
        for host in beats:
            beats[host] += 1
            one = HostRecord(host=host, boot="a", beat=beats[host], address=f"h{host}:1")
            record_files.write_host(folder, one)

    with Conductor(folder, host=0, clock=lambda: clock_s, steady=lambda: clock_s) as first:
        while not first.state.live:
            beat()
            first.round()
    clock_s += 10.0
    with Conductor(
        folder,
        host=1,
        silent_s=10.0,
        clock=lambda: clock_s + ahead_s,
        steady=lambda: clock_s,
    ) as second:
        for _ in range(60):
            beat()
            second.round()
        assert second.state.stopping is None
        assert second.state.chip_seconds == pytest.approx(2 * 60, abs=2 * 10)
        assert second.state == fold_events(read_events(folder.events))


def test_conduct_holds_the_lease_and_ends_with_the_job(folder: JobFolder) -> None:
    record_files.create_job(folder, job(phase("a")), by="test")
    record_files.create_request(folder, Request(number=0, kind="stop"), by="test")
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        with pytest.raises(UserError, match="is in use by"):
            conduct(folder, wait=lambda _: True)
        waits.append(seconds)
        return True

    conduct(folder, wait=wait)
    assert waits == []
    assert fold_events(read_events(folder.events)).state == "STOPPED"
    record_files.create_request(folder, Request(number=0, kind="resume"), by="test")
    conduct(folder, wait=wait)
    assert waits == [1.0]
    state = fold_events(read_events(folder.events))
    assert (state.state, state.request) == ("PROVISIONING", 2)
