"""Hangs, and who is behind."""

import pytest

from codepretrain.launch.machine import WatchdogConfig
from codepretrain.launch.records import HostRecord, WorkerReport
from codepretrain.launch.watchdog import StepTimes, behind, deadline_s, find_hang

CONFIG = WatchdogConfig(
    init_s=10, restore_s=20, compile_s=30, evaluate_s=40, save_s=50, step_factor=10, step_min_s=60
)


def report(activity: str, idle_s: float, step: int | None = 5) -> WorkerReport:
    return WorkerReport(activity=activity, idle_s=idle_s, step=step)


@pytest.mark.parametrize(
    ("activity", "median_s", "expected"),
    [
        ("init", None, 10),
        ("start", None, 10),
        ("restore", None, 20),
        ("compile", None, 30),
        ("evaluate", None, 40),
        ("save", None, 50),
        ("train", None, 60),
        ("train", 2.0, 60),
        ("train", 9.0, 90),
        ("wait_for_data", 9.0, 90),
        ("rebuild", 9.0, 90),
    ],
)
def test_deadlines(activity: str, median_s: float | None, expected: float) -> None:
    assert deadline_s(activity, CONFIG, median_s) == expected


@pytest.mark.parametrize(
    ("reports", "host"),
    [
        ([report("train", 61), report("train", 60)], None),
        ([report("train", 61), report("train", 61, step=4)], 1),
        ([report("train", 61), report("save", 51)], 0),  # one each: the longest idle
        ([report("train", 70), report("save", 45)], None),  # a save may take longer
        ([report("train", 61), report("train", 90), report("evaluate", 62)], 2),
        ([report("train", 99), report("init", 61, step=None)], 1),
        ([report("restore", 99, None), report("compile", 61, None)], 0),
        ([report("train", 61), report("train", 62), report("train", 63)], 2),
        ([], None),
    ],
)
def test_hangs(reports: list[WorkerReport], host: int | None) -> None:
    by_host = dict(enumerate(reports))
    hang = find_hang(by_host, config=CONFIG, median_step_s=None)
    assert (None if hang is None else hang.host) == host
    if hang is not None:
        assert f"host {host} is behind: no progress for" in hang.message


def test_behind_by_steps_before_anything_else() -> None:
    reports = {0: report("init", 99, 5), 3: report("train", 1, 4), 7: report("train", 5, 4)}
    assert behind(reports) == 7


def test_the_newest_median_of_the_worker_that_is_ahead() -> None:
    """A worker reports a median, and the time of the first step only until there is another."""
    times = StepTimes()

    def record(step: int, step_s: float, attempt: str = "a-1") -> HostRecord:
        return HostRecord(
            host=0,
            boot="b",
            beat=1,
            address="",
            attempt=attempt,
            report=WorkerReport(activity="train", step=step, step_s=step_s),
        )

    for step, step_s, expected in ((1, 900.0, 900.0), (2, 1.0, 1.0), (2, 5.0, 1.0), (3, 2.0, 2.0)):
        times.update([record(step, step_s)], ["a-1"])
        assert times.medians() == {"a-1": expected}
    times.update([record(1, 7.0, "a-2")], ["a-2"])
    assert times.medians() == {"a-2": 7.0}
