"""Two processes return the same values, raise the same errors, and never wait for each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.hosts import Channel, decide, gather, share
from tests.fixtures.processes import RunJob


def test_one_process_computes_for_itself() -> None:
    assert decide("a value", lambda: {"step": 3}) == {"step": 3}
    assert gather("values", lambda: "here") == ["here"]

    def fails() -> None:
        raise UserError("no")

    for call in (decide, gather):
        with pytest.raises(UserError, match=r"^no$"):
            call("a value", fails)


@pytest.mark.parametrize("outer", [decide, gather])
@pytest.mark.parametrize("inner", [decide, gather])
def test_agreements_do_not_nest(outer: Callable[..., Any], inner: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError, match="the list is agreed on within another agreement"):
        outer("the sum", lambda: inner("the list", lambda: 1))
    assert outer("the sum", lambda: Channel().decide("a value of another thread", lambda: 1))


def test_two_processes(run_job: RunJob) -> None:
    script = """
    import threading
    from codepretrain.errors import UserError
    from codepretrain.errors import PeerError
    from codepretrain.hosts import Channel, decide, gather
    from codepretrain.errors import Interrupted

    def failing(error, where):
        def compute():
            if process in where:
                raise error
            return process
        return compute

    def outcome(call, *arguments):
        try:
            return call(*arguments)
        except (UserError, PeerError, Interrupted, TimeoutError, ZeroDivisionError) as error:
            return f"{type(error).__name__} {error}"

    print(decide("a list", lambda: [process, "x", None]))
    print(gather("a value", lambda: {"process": process}))
    print(outcome(decide, "it", failing(UserError("told"), {0})))
    print(outcome(gather, "it", failing(UserError("told"), {1})))
    print(outcome(gather, "it", failing(UserError("told by both"), {0, 1})))
    print(outcome(gather, "it", failing(Interrupted(15, "stop"), {1})))
    error = ZeroDivisionError("bug")
    print(outcome(gather, "it", failing(error, {1})))
    other = Channel()
    thread = threading.Thread(target=lambda: print(other.gather("theirs", lambda: process)))
    thread.start()
    assert gather("ours", lambda: -process) == [0, -1]
    thread.join()
    if process == 0:
        print(outcome(lambda: gather("what nobody tells", lambda: 0, wait_s=0.5)))
    """
    first, second = run_job(script)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    told = [
        "[0, 'x', None]",
        "[{'process': 0}, {'process': 1}]",
        "UserError told",
        "UserError told",
        "UserError told by both",
        "Interrupted stop",
    ]
    assert first.stdout.splitlines() == [
        *told,
        "PeerError process 1: ZeroDivisionError: bug",
        "[0, 1]",
        "TimeoutError process 1 did not report what nobody tells in time",
    ]
    assert second.stdout.splitlines() == [*told, "ZeroDivisionError bug", "[0, 1]"]


def test_processes_at_different_points_end_with_an_error(run_job: RunJob) -> None:
    script = """
    from codepretrain.errors import PeerError
    from codepretrain.hosts import Channel

    def outcome(call, *arguments):
        try:
            return call(*arguments)
        except PeerError as error:
            return f"PeerError {error}"

    names = ["the ledger's step", "an evaluation"]
    print(outcome(Channel().gather, names[process], lambda: process))
    print(outcome(Channel().decide, names[process], lambda: process))
    """
    first, second = run_job(script)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    for job in (first, second):
        assert "the processes of this job are out of step" in job.stdout.splitlines()[0]
    assert first.stdout.splitlines()[1] == "0"
    assert 'process 0 is at "the ledger\'s step"' in second.stdout.splitlines()[1]


def test_a_shared_value_of_one_process() -> None:
    assert share({"step": 3}) == {"step": 3}


def test_a_large_value_travels_to_the_other_process(run_job: RunJob, tmp_path: Path) -> None:
    script = """
    from pathlib import Path
    from codepretrain import hosts

    hosts._SHARED_WORDS = 100
    found = []
    for size in (0, 1, 399, 400, 5000):
        value = hosts.share(bytes(range(250)) * size if process == 0 else "ignored")
        found.append(value == bytes(range(250)) * size)
    Path(arguments[0], f"{process}").write_text(f"{found}")  # the library that connects prints
    """
    for ended in run_job(script, tmp_path):
        assert ended.returncode == 0, ended.stderr
    assert [(tmp_path / f"{n}").read_text() for n in range(2)] == [f"{[True] * 5}"] * 2
