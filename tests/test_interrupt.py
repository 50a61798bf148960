"""Stop signals in this process, and in others that may be ended."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from codepretrain import interrupt
from codepretrain.interrupt import Interrupted
from tests.conftest import ROOT


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
    with pytest.raises(Interrupted) as stopped, interrupt.deferred():
        for step in range(10):
            steps.append(step)
            if step == 3:
                assert not interrupt.is_due()
                send(number)
                send(signal.SIGTERM)  # a launcher that repeats itself costs no save
            if interrupt.is_due():
                break
    assert steps == [0, 1, 2, 3]
    assert stopped.value.signal_number == interrupt.signal_number() or number


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


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in which `end` prints what it is given and exits with 77."""
    program = (
        "import ctypes, os, signal, threading, time\n"
        "from codepretrain import interrupt\n"
        "def end(error):\n"
        "    print(type(error).__name__, error.args, flush=True)\n"
        "    os._exit(77)\n"
        "def later(*numbers):\n"
        "    def send():\n"
        "        for number in numbers:\n"
        "            time.sleep(0.2)\n"
        "            os.kill(os.getpid(), number)\n"
        "    threading.Thread(target=send, daemon=True).start()\n"
        "def block():\n"  # in C, where a signal interrupts nothing
        "    mutex = ctypes.create_string_buffer(64)\n"
        "    for _ in range(2):\n"
        "        ctypes.CDLL(None).pthread_mutex_lock(mutex)\n"
    ) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT
    )


def test_a_main_thread_in_c_is_ended_after_a_while() -> None:
    done = run("""
        with interrupt.handling(end):
            later(signal.SIGTERM)
            block()
    """)
    assert done.returncode == 77, done.stderr
    assert "Interrupted ('stopped; all finished work is kept',)" in done.stdout


def test_a_second_ctrl_c_ends_at_once_even_what_defers() -> None:
    done = run("""
        with interrupt.handling(end), interrupt.deferred():
            later(signal.SIGTERM, signal.SIGTERM, signal.SIGINT)
            time.sleep(60)
    """)
    assert done.returncode == 77, done.stderr
    assert "Interrupted" in done.stdout


def test_a_main_thread_that_cleans_up_in_time_is_left_alone() -> None:
    done = run("""
        try:
            with interrupt.handling(end):
                later(signal.SIGTERM)
                time.sleep(60)
        except interrupt.Interrupted as stop:
            print("clean", stop.signal_number)
    """)
    assert (done.returncode, done.stdout) == (0, "clean 15\n"), done.stderr


def test_the_end_of_another_process_is_raised_here() -> None:
    done = run("""
        try:
            with interrupt.handling(end):
                threading.Timer(0.2, interrupt.on_peer_exit, (2, "process 1: full")).start()
                time.sleep(60)
        except interrupt.PeerStopped as stop:
            print(stop.exit_code, stop)
    """)
    assert (done.returncode, done.stdout) == (0, "2 process 1: full\n"), done.stderr


def test_the_end_of_another_process_ends_a_main_thread_in_c() -> None:
    done = run("""
        with interrupt.handling(end):
            threading.Timer(0.2, interrupt.on_peer_exit, (2, "process 1: full")).start()
            block()
    """)
    assert done.returncode == 77, done.stderr
    assert "PeerStopped ('process 1: full',)" in done.stdout
