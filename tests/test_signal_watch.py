"""The thread that watches for signals, in processes that it may end."""

import os
import resource
import subprocess
import sys
import textwrap
import time

from codepretrain import interrupt
from tests.conftest import ROOT


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in which `end` prints what it is given and exits with 77."""
    program = (
        "import ctypes, os, signal, threading, time\n"
        "from codepretrain import interrupt\n"
        "from codepretrain.errors import Interrupted, PeerStopped\n"
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
    assert "Interrupted ('stopped; progress is saved',)" in done.stdout


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
        except Interrupted as stop:
            print("clean", stop.signal_number)
    """)
    assert (done.returncode, done.stdout) == (0, "clean 15\n"), done.stderr


def test_the_end_of_another_process_is_raised_here() -> None:
    done = run("""
        try:
            with interrupt.handling(end):
                threading.Timer(0.2, interrupt.on_peer_exit, (2, "process 1: full")).start()
                time.sleep(60)
        except PeerStopped as stop:
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


def test_descriptors_above_1023_are_watched() -> None:
    """A process that reads rows may have thousands of files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with interrupt.handling(end=lambda error: None):
            time.sleep(0.1)  # the thread looks at its descriptor
        assert interrupt.signal_number() == 0
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
