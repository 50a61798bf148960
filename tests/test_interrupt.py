"""Stop signals in this process."""

import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from codepretrain import interrupt
from codepretrain.errors import Interrupted


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_raised_at_once(number: int) -> None:
    with interrupt.handling(), pytest.raises(Interrupted) as stopped:
        send(number)
    assert stopped.value.signal_number == number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_within_deferred_the_loop_is_told(number: int) -> None:
    steps = []

    def train() -> None:
        for step in range(10):
            steps.append(step)
            if step == 3:
                assert not interrupt.is_due()
                send(number)
                send(signal.SIGTERM)  # a launcher that repeats itself costs no save
            if interrupt.is_due():
                break

    with pytest.raises(Interrupted) as stopped, interrupt.deferred():
        train()
    assert steps == [0, 1, 2, 3]
    assert stopped.value.signal_number == number


def test_long_work_within_deferred_checks() -> None:
    def evaluate() -> None:
        for batch in range(10):
            interrupt.check()
            if batch == 2:
                send(signal.SIGTERM)

    with interrupt.handling():
        with pytest.raises(Interrupted), interrupt.deferred():
            evaluate()
        assert interrupt.signal_number() == signal.SIGTERM
    assert interrupt.signal_number() == 0


def test_outside_deferred_a_check_is_nothing() -> None:
    interrupt.check()
    interrupt.check_alone()


class CountingPeers:
    """Counts the calls that all processes must make equally often."""

    num_calls = 0

    def announce_stop(self, signal_number: int) -> None:
        pass

    def reached_stop(self) -> bool:
        self.num_calls += 1
        return self.num_calls > 2


def test_on_several_processes_the_agreed_call_counts() -> None:
    peers = CountingPeers()

    def work() -> None:
        interrupt.connect(peers)
        interrupt.check_alone()
        for _ in range(10):
            interrupt.check()

    with interrupt.handling(), pytest.raises(Interrupted), interrupt.deferred():
        work()
    assert peers.num_calls == 3


def test_an_error_within_deferred_is_raised_as_it_is() -> None:
    def fails() -> None:
        send(signal.SIGTERM)
        raise OSError("full")

    with pytest.raises(OSError, match="full"), interrupt.deferred():
        fails()


def test_the_second_ctrl_c_ends_a_library_call() -> None:
    def is_stubborn() -> None:
        send(signal.SIGINT)
        send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped, interrupt.deferred():
        is_stubborn()
    assert not isinstance(stopped.value, Interrupted)


def test_a_signal_in_a_finalizer_is_not_lost() -> None:
    """Python drops what is raised there; so it is raised a little later."""

    class Finalized:
        def __del__(self) -> None:
            send(signal.SIGTERM)

    def work() -> None:
        Finalized()
        time.sleep(30)

    with interrupt.handling(), pytest.raises(Interrupted):
        work()


def test_a_signal_within_an_import_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception within the import of an extension module may crash the process."""
    (tmp_path / "imported_slowly.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def work() -> None:
        importlib.import_module("imported_slowly")
        time.sleep(30)

    with interrupt.handling(), pytest.raises(Interrupted):
        work()
    assert "imported_slowly" in sys.modules
    del sys.modules["imported_slowly"]


def test_handlers_are_restored_and_reinstalled() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interrupt.handling():
        ours = signal.getsignal(signal.SIGTERM)
        assert ours != before
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a library does
        interrupt.install()
        assert signal.getsignal(signal.SIGTERM) == ours
    assert signal.getsignal(signal.SIGTERM) == before
    interrupt.install()
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_installs_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        with interrupt.handling():
            assert signal.getsignal(signal.SIGTERM) == before

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
