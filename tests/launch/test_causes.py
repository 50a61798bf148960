"""The cause of a gang's end: never a cascade if another end explains it."""

from typing import Any

import pytest

from codepretrain.launch.causes import Gang, cause_of
from codepretrain.launch.records import End
from codepretrain.launch.states import Closing

DONE = End(code=0, cause="done")
KILLED = End(code=-9, cause="stopped", is_cascade=True, message="killed")
CRASH = End(code=1, cause="crash", message="IndexError")
KILL = End(code=-9, cause="crash", message="killed by SIGKILL")
OOM = End(code=-9, cause="out_of_memory", message="oom")
ABORT = End(code=-6, cause="crash", message="aborted")
LOST = End(code=3, cause="lost_host", is_cascade=True, message="process 1 is lost")
ABSENT = End(code=2, cause="lost_host", is_cascade=True, message="waited 900 s")
USER = End(code=2, cause="user_error", message="no such file")
TOLD = End(code=2, cause="user_error", is_cascade=True, message="process 0: no such file")
DAMAGE = End(code=2, cause="damage", message="damaged shard")
DAMAGE_OF_A_PEER = End(code=2, cause="damage", is_cascade=True, message="device 2 differs")
TERM = End(code=143, cause="stopped", message="stopped")


def closing(how: str = "kill", reason: str = "failure", **fields: Any) -> Closing:
    fields = {"cause": None, "host": None, "message": "", "since_s": 0.0, **fields}
    return Closing(how=how, reason=reason, **fields)


def hang(host: int) -> Closing:
    return closing(cause="hang", host=host, message=f"host {host} is behind")


def silent(host: int) -> Closing:
    return closing(cause="lost_host", host=host, message=f"host {host}: no sign of life")


@pytest.mark.parametrize(
    ("ends", "fields", "cause", "host"),
    [
        ([DONE, DONE], {}, "done", None),
        ([LOST, KILL], {}, "crash", 1),
        ([CRASH, KILL], {}, "crash", 1),  # a collective fails when the other is killed
        ([CRASH, KILLED], {}, "crash", 0),
        ([ABORT, CRASH], {}, "crash", 1),
        ([ABORT, OOM], {}, "out_of_memory", 1),
        ([CRASH, OOM], {}, "out_of_memory", 1),
        ([USER, TOLD], {}, "user_error", 0),
        ([TOLD, USER], {}, "user_error", 1),
        ([CRASH, DAMAGE], {}, "damage", 1),
        ([USER, DAMAGE], {}, "damage", 1),
        ([DAMAGE_OF_A_PEER, DAMAGE], {}, "damage", 1),
        ([DAMAGE_OF_A_PEER, TOLD], {}, "damage", None),  # told before it could report its own
        ([TOLD, TOLD], {}, "crash", 0),
        ([LOST, None], {"lost": {1: 25.0}}, "lost_host", 1),
        ([LOST, None], {"gone": (1,)}, "lost_host", 1),
        ([ABORT, None], {"lost": {1: 25.0}}, "lost_host", 1),
        ([DONE, None], {"lost": {1: 25.0}}, "lost_host", 1),
        ([ABSENT, KILLED], {"closing": closing()}, "lost_host", 0),
        ([ABSENT, None], {"preempted": (1,)}, "preemption", 1),
        ([ABSENT, USER], {}, "user_error", 1),
        ([LOST, KILLED], {}, "hang", 1),  # it had stopped answering, and had to be killed
        ([LOST, KILLED, LOST], {"closing": closing()}, "hang", 1),
        ([KILLED, KILLED], {"closing": hang(1)}, "hang", 1),
        ([KILL, KILL], {"closing": hang(1)}, "hang", 1),  # a supervisor that does not say why
        ([OOM, KILLED], {"closing": hang(1)}, "out_of_memory", 0),
        ([USER, KILLED], {"closing": hang(1)}, "user_error", 0),
        ([CRASH, None], {"closing": silent(1), "lost": {1: 25.0}}, "lost_host", 1),
        ([TERM, TERM], {"preempted": (1,)}, "preemption", 1),
        ([KILL, LOST], {"preempted": (0,)}, "preemption", 0),
        ([CRASH, TERM], {"preempted": (1,)}, "preemption", 1),
        ([USER, TERM], {"preempted": (1,)}, "user_error", 0),
        ([DONE, DONE], {"preempted": (1,)}, "done", None),
        ([TERM, TERM], {"closing": closing("end", "stop")}, "stopped", None),
        ([TERM, TERM], {"closing": closing("end", "budget")}, "stopped", None),
        ([DONE, DONE], {"closing": closing("end", "stop")}, "done", None),
        ([TERM, TERM], {"closing": closing("end", "preemption", host=0)}, "preemption", 0),
        ([TERM, TERM], {}, "preemption", 0),
        ([LOST, LOST], {}, "lost_host", 0),
        ([ABORT, LOST], {}, "crash", 0),
        ([USER, None], {"absent": (1,)}, "lost_host", 1),  # it waited in vain for the other
        ([None, None], {}, "crash", None),
        (
            [KILLED, KILLED],
            {"closing": closing(cause="damage", host=None, message="resumed from step 0")},
            "damage",
            None,
        ),
    ],
)
def test_cause(ends: list[End | None], fields: dict, cause: str, host: int | None) -> None:
    found = {number: end for number, end in enumerate(ends) if end is not None}
    result = cause_of(Gang(hosts=(0, 1), ends=found, **fields))
    assert (result.cause, result.host) == (cause, host)
    assert result.message or cause in ("done", "stopped", "preemption")


def test_a_worker_that_did_not_save_in_time_is_named() -> None:
    ends = {0: TERM, 1: KILLED}
    ask = closing("end", "stop", message="stopped by a request")
    message = cause_of(Gang(hosts=(0, 1), ends=ends, closing=ask)).message
    assert message == "stopped by a request; host 1 was killed before it had saved"


def test_a_kill_before_the_order_is_no_consequence_of_it() -> None:
    ask = closing(cause=None, ended=frozenset({1}))
    result = cause_of(Gang(hosts=(0, 1), ends={0: KILLED, 1: KILL}, closing=ask))
    assert (result.cause, result.host) == ("crash", 1)
