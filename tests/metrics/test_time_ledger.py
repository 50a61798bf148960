import time
import tracemalloc

import pytest

from codepretrain.errors import UserError
from codepretrain.files import journal
from codepretrain.metrics.stopwatch import TIME_KINDS, Stopwatch
from codepretrain.metrics.time_ledger import TimeLedger, read_sessions


class FakeClock:
    """Stands in for `time.perf_counter`."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return FakeClock(monkeypatch)


def test_a_session_sums_to_its_wall_time(tmp_path, clock):
    watch = Stopwatch(since=97.0)
    with watch.spent("restore"):
        clock.now += 8
    with TimeLedger(tmp_path / "time.jsonl", watch, session=0, first_step=20) as ledger:
        with watch.spent("train"):
            clock.now += 10
        ledger.save(25, is_final=True)
    (session,) = read_sessions(tmp_path / "time.jsonl")
    assert (session["first_step"], session["last_step"]) == (20, 25)
    assert set(session["seconds"]) == set(TIME_KINDS)
    assert session["seconds"]["restore"] == 8
    assert session["seconds"]["start"] == 3
    assert session["wall_s"] == sum(session["seconds"].values()) == 21
    assert watch.wall_s == 0  # the next run of this process has a session of its own


def test_sessions_add_up_and_a_killed_one_keeps_what_it_saved(tmp_path, clock):
    path = tmp_path / "time.jsonl"
    first = TimeLedger(path, Stopwatch(), session=0, first_step=0)
    for step in (10, 20, 30):
        clock.now += 11
        first.save(step)
    first.close()
    second = TimeLedger(path, Stopwatch(), session=3, first_step=15)  # starts 1, 2: evaluations
    second.save(16, is_final=True)
    second.close()
    with path.open("ab") as file:
        file.write(b'{"torn')
    third = TimeLedger(path, Stopwatch(), session=4, first_step=16)
    assert [s["session"] for s in third.sessions(17)] == [0, 3, 4]
    third.save(30, is_final=True)
    third.close()
    found = [(s["session"], s["first_step"], s["last_step"]) for s in read_sessions(path)]
    assert found == [(0, 0, 30), (3, 15, 16), (4, 16, 30)]


def test_it_is_saved_now_and_then_and_at_the_end(tmp_path, clock):
    path = tmp_path / "time.jsonl"
    ledger = TimeLedger(path, Stopwatch(), session=0, first_step=0)
    for step in range(1, 26):
        clock.now += 1
        ledger.save(step)
    ledger.save(25, is_final=True)
    ledger.close()
    assert [record["last_step"] for record in journal.read(path)] == [10, 20, 25]


def test_other_processes_write_nothing(tmp_path):
    ledger = TimeLedger(
        tmp_path / "time.jsonl", Stopwatch(), session=0, first_step=0, is_primary=False
    )
    ledger.save(1, is_final=True)
    assert [s["last_step"] for s in ledger.sessions(1)] == [1]
    ledger.close()
    assert not (tmp_path / "time.jsonl").exists()


@pytest.mark.parametrize("line", ["{}", '{"session": "0"}', '{"session": 0, "seconds": 1.5}'])
def test_a_record_without_its_fields_is_named(tmp_path, line):
    (tmp_path / "time.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"time\.jsonl line 1 is damaged .*expected a field"):
        read_sessions(tmp_path / "time.jsonl")
    with pytest.raises(UserError, match=r"time\.jsonl line 1 is damaged .*expected a field"):
        TimeLedger(tmp_path / "time.jsonl", Stopwatch(), session=1, first_step=0)


def test_it_holds_no_record_of_earlier_savings(tmp_path):
    """A record every 10 s makes 60,000 in a week; only the last of each session counts."""
    path = tmp_path / "time.jsonl"
    seconds = dict.fromkeys(TIME_KINDS, 1 / 3)
    begun = {"session": 0, "started_at": "2026-01-01T00:00:00+00:00", "first_step": 0}
    with journal.Journal(path) as lines:
        for step in range(2000):
            lines.append({**begun, "last_step": step, "seconds": seconds, "wall_s": 3.0})
    tracemalloc.start()
    try:
        with TimeLedger(path, Stopwatch(), session=1, first_step=1999) as ledger:
            held, _ = tracemalloc.get_traced_memory()
            assert [record["last_step"] for record in ledger.sessions(2000)] == [1999, 2000]
    finally:
        tracemalloc.stop()
    assert held < 50 * 2000
