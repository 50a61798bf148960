"""Rates, pauses and back-off, by a clock of the test's own."""

import pytest

from codepretrain.endpoint.pace import DeadlineError, Pace, StoppedError
from tests.endpoint.loopback import Clock


def test_requests_keep_their_distance() -> None:
    clock = Clock()
    pace = Pace(30, now=clock.now, wait=clock.wait)
    times = []
    for _ in range(4):
        pace.turn()
        times.append(clock.time)
    assert times == [0, 2, 4, 6]


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    pace = Pace(None, now=clock.now, wait=clock.wait)
    for _ in range(100):
        pace.turn()
    assert clock.waits == []


def test_a_pause_holds_back_everyone_and_the_longest_counts() -> None:
    clock = Clock()
    pace = Pace(60, now=clock.now, wait=clock.wait)
    pace.pause(30)
    pace.pause(5)
    pace.turn()
    assert clock.time == 30
    pace.turn()
    assert clock.time == 31


def test_back_off_doubles_up_to_a_minute() -> None:
    clock = Clock()
    pace = Pace(None, now=clock.now, wait=clock.wait)
    for attempt in range(9):
        pace.back_off(attempt)
    for wait, longest in zip(clock.waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert longest / 2 <= wait <= longest


def test_stop_ends_all_waiting() -> None:
    pace = Pace(0.001)
    pace.pause(1000)
    pace.stop()
    with pytest.raises(StoppedError):
        pace.turn()
    with pytest.raises(StoppedError):
        pace.back_off(0)


def test_nothing_is_sent_or_waited_for_after_the_deadline() -> None:
    clock = Clock()
    pace = Pace(None, deadline_s=10, now=clock.now, wait=clock.wait)
    pace.turn()
    pace.pause(9)
    pace.turn()
    assert clock.time == 9
    with pytest.raises(DeadlineError):
        pace.back_off(2)
    pace.pause(1)
    with pytest.raises(DeadlineError):
        pace.turn()
    assert clock.time == 9, "a wait that is in vain is not begun"
