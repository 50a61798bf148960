import subprocess
import sys
import time

import pytest

from codepretrain.metrics.stopwatch import Stopwatch, process_stopwatch


class FakeClock:
    """Stands in for `time.perf_counter`."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def spent(watch):
    return {kind: seconds for kind, seconds in watch.seconds().items() if seconds}


def test_every_second_belongs_to_one_kind(monkeypatch):
    clock = FakeClock(monkeypatch)
    watch = Stopwatch(since=97.0)
    clock.now += 1  # start: 4 s so far, 3 of them before the stopwatch was made
    with watch.spent("train"):
        clock.now += 10
        with watch.spent("wait_for_data"):
            clock.now += 2
        clock.now += 5

    def failing_save():
        with watch.spent("save"):
            clock.now += 0.5
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        failing_save()
    clock.now += 0.25
    assert spent(watch) == {"start": 4.25, "train": 15, "save": 0.5, "wait_for_data": 2}
    assert watch.wall_s == 21.75


def test_a_new_lap_counts_from_zero(monkeypatch):
    clock = FakeClock(monkeypatch)
    watch = Stopwatch()
    clock.now += 5
    watch.start_lap()
    clock.now += 2
    with watch.spent("restore"):
        clock.now += 1
    assert spent(watch) == {"start": 2, "restore": 1}
    assert watch.wall_s == 3
    assert watch.lap_started == 105.0


def test_an_unknown_kind_of_time_is_our_own_mistake():
    watch = Stopwatch()
    with pytest.raises(AssertionError, match="coffee"), watch.spent("coffee"):
        pass


def test_the_process_is_counted_from_its_creation():
    """In a process that sleeps before it imports anything; 1 s of it must be there."""
    code = (
        "import time; time.sleep(1.0)\n"
        "from codepretrain.metrics.stopwatch import process_stopwatch\n"
        "print(process_stopwatch().seconds()['start'])"
    )
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1.0 <= float(done.stdout) <= time.monotonic() - before
    assert process_stopwatch() is process_stopwatch()
