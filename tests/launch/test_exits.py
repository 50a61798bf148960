"""From an exit code to a cause."""

import pytest

from codepretrain.launch.exits import worker_end
from codepretrain.launch.records import CAUSES, End


@pytest.mark.parametrize(
    ("code", "options", "cause", "is_cascade"),
    [
        (0, {}, "done", False),
        (1, {}, "crash", False),
        (2, {}, "user_error", False),
        (3, {}, "lost_host", True),
        (-9, {}, "crash", False),
        (-9, {"has_oom_kill": True}, "out_of_memory", False),
        (137, {"has_oom_kill": True}, "out_of_memory", False),
        (137, {}, "crash", False),
        (-6, {}, "crash", False),
        (134, {"has_peer_ended": True}, "crash", True),
        (139, {}, "crash", False),
        (-11, {"has_peer_ended": True}, "crash", False),
        (143, {}, "stopped", False),
        (-15, {"is_preempted": True}, "preemption", False),
        (130, {}, "stopped", False),
        (143, {"is_preempted": True}, "preemption", False),
        (-9, {"is_killed_by_order": True}, "stopped", True),
        (141, {}, "crash", False),
        (255, {}, "crash", False),
    ],
)
def test_without_a_report(code: int, options: dict, cause: str, is_cascade: bool) -> None:
    end = worker_end(code, step=5, **options)
    assert (end.code, end.cause, end.is_cascade, end.step) == (code, cause, is_cascade, 5)
    assert end.cause in CAUSES
    assert end.message


def test_a_report_counts_more_than_the_code() -> None:
    reported = End(code=2, cause="divergence", message="20 updates skipped", step=40)
    assert worker_end(2, reported=reported, step=39) == reported
    stopped = End(code=143, cause="stopped", step=4)
    assert worker_end(143, reported=stopped, is_preempted=True).cause == "preemption"
    killed = worker_end(-9, reported=reported, is_killed_by_order=True)
    assert (killed.cause, killed.is_cascade) == ("stopped", True)


def test_messages_of_those_that_left_none() -> None:
    assert worker_end(-11).message == "killed by SIGSEGV"
    assert worker_end(7).message == "exit code 7"
    assert worker_end(-9, has_oom_kill=True).message == "killed by the system: out of memory"
    assert worker_end(1, message="Error: x").message == "Error: x"
