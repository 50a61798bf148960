import time

import pytest

from codepretrain.files import jsonl
from codepretrain.metrics.time_ledger import TIME_KINDS, TimeLedger


class FakeClock:
    """Stands in for `time.perf_counter`."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def test_every_second_belongs_to_one_kind(tmp_path, monkeypatch):
    clock = FakeClock(monkeypatch)
    ledger = TimeLedger(tmp_path / "time.jsonl", first_step=0, since=97.0)
    clock.now += 1  # program: 4 s so far, 3 of them before the ledger was made
    with ledger.spent("train"):
        clock.now += 10
        with ledger.spent("wait_for_data"):
            clock.now += 2
        clock.now += 5

    def failing_save():
        with ledger.spent("save"):
            clock.now += 0.5
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        failing_save()
    clock.now += 0.25
    assert ledger.seconds == {
        "program": 4.25,
        "compile": 0,
        "train": 15,
        "save": 0.5,
        "evaluate": 0,
        "wait_for_data": 2,
    }
    ledger.save(7)
    (line,) = jsonl.read(tmp_path / "time.jsonl")
    assert line["wall_s"] == sum(line["seconds"].values()) == 21.75


def test_sessions_add_up_and_a_killed_one_keeps_what_it_saved(tmp_path):
    path = tmp_path / "time.jsonl"
    first = TimeLedger(path, first_step=0, provenance={"devices": "1 × cpu"})
    first.save(10)
    first.save(20)
    second = TimeLedger(path, first_step=15)
    second.save(16)
    with path.open("ab") as file:
        file.write(b'{"torn')
    third = TimeLedger(path, first_step=16)
    third.save(30)
    lines = jsonl.read(path)
    assert [(r["session"], r["first_step"], r["last_step"]) for r in lines] == [
        (0, 0, 20),
        (1, 15, 16),
        (2, 16, 30),
    ]
    assert lines[0]["devices"] == "1 × cpu"
    assert set(lines[0]["seconds"]) == set(TIME_KINDS)


def test_an_unknown_kind_of_time_is_our_own_mistake(tmp_path):
    ledger = TimeLedger(tmp_path / "time.jsonl", first_step=0)
    with pytest.raises(AssertionError, match="coffee"), ledger.spent("coffee"):
        pass


def test_other_processes_write_nothing(tmp_path):
    TimeLedger(tmp_path / "time.jsonl", first_step=0, process_index=1).save(1)
    assert not (tmp_path / "time.jsonl").exists()
