import pytest

from codepretrain.metrics.goodput import goodput


def session(first_step, last_step, *, start_s, **seconds):
    stamp = f"2026-01-01T00:{start_s // 60:02}:{start_s % 60:02}+00:00"
    return {
        "started_at": stamp,
        "first_step": first_step,
        "last_step": last_step,
        "seconds": {"train": 0.0, "compile": 0.0, **seconds},
        "wall_s": sum(seconds.values()),
    }


def test_one_session():
    found = goodput([session(0, 10, start_s=0, train=30.0, compile=10.0)])
    assert found.seconds == {"productive": 30.0, "repeated": 0.0, "away": 0.0, "compile": 10.0}
    assert found.goodput == pytest.approx(0.75)


def test_steps_made_twice_and_time_away():
    sessions = [
        session(0, 75, start_s=0, train=75.0, compile=5.0),  # ends at 80 s; 15 steps are lost
        session(60, 100, start_s=100, train=40.0, compile=5.0),
    ]
    found = goodput(sessions)
    assert found.seconds == pytest.approx(
        {"productive": 100.0, "repeated": 15.0, "away": 20.0, "compile": 10.0}
    )
    assert found.goodput == pytest.approx(100 / 125)


def test_a_session_that_a_later_one_undoes():
    """Its checkpoint was damaged: the third session starts before it began."""
    sessions = [
        session(0, 20, start_s=0, train=20.0),
        session(20, 40, start_s=20, train=20.0),
        session(10, 40, start_s=40, train=30.0),
    ]
    assert goodput(sessions).seconds["productive"] == pytest.approx(10 + 0 + 30)


def test_nothing_yet():
    assert goodput([]).goodput == 0.0
    assert goodput([session(5, 5, start_s=0, train=2.0, compile=2.0)]).goodput == 0.0
