"""Processes that fall silent, each played by a watch of this process."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from codepretrain import peer_watch
from codepretrain.peer_watch import PeerWatch
from tests.fixtures.coordination import Service


class Found:
    """What a watch reports."""

    def __init__(self) -> None:
        self.lost: list[tuple[int, str]] = []
        self.has_lost = threading.Event()

    def __call__(self, process: int, what: str) -> None:
        self.lost.append((process, what))
        self.has_lost.set()


@pytest.fixture
def address() -> Iterator[str]:
    """An address at which something listens."""
    with socket.create_server(("localhost", 0), backlog=128) as server:
        yield f"localhost:{server.getsockname()[1]}"


@pytest.fixture
def watch(
    monkeypatch: pytest.MonkeyPatch, service: Service, address: str
) -> Iterator[Callable[..., tuple[PeerWatch, Found]]]:
    """Starts the watch of one of three processes, of which each has 2 s to answer."""
    monkeypatch.setattr(peer_watch, "PERIOD_S", 0.1)
    monkeypatch.setattr(peer_watch, "_SUSPICIOUS_S", 0.2)
    watches = []

    def start(
        index: int, *, timeout_s: float = 2.0, client: object = service, address: str = address
    ) -> tuple[PeerWatch, Found]:
        found = Found()
        started = PeerWatch(
            client,
            address=address,
            process_index=index,
            process_count=3,
            timeout_s=timeout_s,
            on_lost=found,
        )
        watches.append(started)
        return started, found

    yield start
    for started in watches:
        started.stop()


def test_process_0_reports_the_one_that_falls_silent(watch: Callable) -> None:
    (_, found), (_, of_1), (silent, _) = (watch(index) for index in range(3))
    assert not found.has_lost.wait(3.0)  # longer than the timeout
    silent.stop()
    assert found.has_lost.wait(30)
    assert found.lost == [(2, "has not answered for 2 s (--heartbeat-timeout-s)")]
    assert of_1.lost == []


def test_a_process_that_never_answers_is_lost(watch: Callable) -> None:
    (_, found), _ = (watch(index) for index in range(2))
    assert found.has_lost.wait(30)
    assert found.lost == [(2, "has not answered for 2 s (--heartbeat-timeout-s)")]


def test_the_others_report_process_0(watch: Callable) -> None:
    (silent, _), (_, found) = (watch(index) for index in range(2))
    silent.stop()
    assert found.has_lost.wait(30)
    assert found.lost == [(0, "has not answered for 2 s (--heartbeat-timeout-s)")]


def test_a_service_at_which_nothing_listens_is_gone(watch: Callable, service: Service) -> None:
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        watch(0, address=address)
        _, found = watch(1, timeout_s=1000.0, address=address)
        assert not found.has_lost.wait(0.5)
        service.close()
        assert not found.has_lost.wait(0.5)  # the calls fail, but the service is there
    assert found.has_lost.wait(30)
    assert found.lost == [(0, "has ended without a message")]


def test_calls_that_hang_are_silence(watch: Callable) -> None:
    class Hanging(Service):
        def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
            threading.Event().wait()

    _, found = watch(1, client=Hanging())
    assert found.has_lost.wait(30)
    assert found.lost == [(0, "has not answered for 2 s (--heartbeat-timeout-s)")]


def test_a_process_that_was_suspended_blames_no_other(
    watch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = itertools.count(0.0, 1000.0)
    monkeypatch.setattr("codepretrain.peer_watch.time.monotonic", lambda: next(jumps))
    found = [watch(index)[1] for index in range(3)]
    assert not found[0].has_lost.wait(1.0)
    assert [each.lost for each in found] == [[], [], []]


def test_whether_another_process_is_silent(watch: Callable) -> None:
    (first, _), (second, _) = (watch(index, timeout_s=1000.0) for index in range(2))
    wait_until(lambda: len(first.counters()) == 2)
    before = first.counters()
    wait_until(lambda: not first.is_any_silent(before))
    second.stop()
    time.sleep(0.5)  # it may be writing its last counter
    before = first.counters()
    wait_until(lambda: first.counters()[0] != before[0])
    assert first.is_any_silent(before)
    assert not first.is_any_silent({0: before[0]})  # its own counter does not matter


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
