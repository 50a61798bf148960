"""The stop requests of this process, and a thread that notices signals to it.

`interrupt.py` handles signals in the main thread, which may be in C++ for minutes; the thread here
notices them at once.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

from codepretrain.errors import Interrupted

GRACE_S = 3.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_END_OF_WATCH, _WAKE = 0, 255  # not numbers of signals


class Peers(Protocol):
    """The connection to the other processes of the run (`peers.py`)."""

    def announce_stop(self, signal_number: int) -> None: ...
    def reached_stop(self) -> bool: ...


class State:
    """The stop requests that this process knows of. There is one: signal handlers are global.

    signal_number: the first stop signal, here or in another process; 0 before.
    depth: how many `deferred` blocks are entered.
    error: the exception with which the main thread is to end within `GRACE_S`.
    is_pending: the next handler call raises `error`, as a thread has asked for.
    is_leaving: the command has its result; the handlers raise nothing from here on.
    end: ends the process; None where nothing may (a library call, a test).
    """

    def __init__(self) -> None:
        self.is_handling = False
        self.signal_number = 0
        self.depth = 0
        self.error: BaseException | None = None
        self.is_pending = False
        self.is_leaving = False
        self.peers: Peers | None = None
        self.watch: Watch | None = None
        self.end: Callable[[BaseException], None] | None = None

    def interrupted(self) -> Interrupted:
        """Returns the exception for the stop signal."""
        return Interrupted(self.signal_number, "stopped; progress is saved")


class Watch:
    """While entered, passes signals on, and ends the process if the main thread does not.

    Python's own handler in C writes the number of each signal to a pipe, which the thread reads.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._previous = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._received: list[int] = []
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)
        self._thread.start()
        self._state.watch = self
        return self

    def wake(self) -> None:
        """Wakes the thread to check for changes."""
        os.write(self._write, bytes([_WAKE]))

    def __exit__(self, *_: object) -> None:
        self._state.watch = None
        signal.set_wakeup_fd(self._previous)
        os.write(self._write, bytes([_END_OF_WATCH]))
        self._thread.join()
        os.close(self._read)
        os.close(self._write)

    def _run(self) -> None:
        ending_since = None
        poll = select.poll()  # `select.select` refuses descriptors above 1023
        poll.register(self._read, select.POLLIN)
        while True:
            is_stopping = bool(self._received) or self._state.error is not None
            ready = poll.poll(100 if is_stopping else None)  # milliseconds
            numbers = os.read(self._read, 512) if ready else b""
            if _END_OF_WATCH in numbers:
                return
            self._note([number for number in numbers if number in STOP_SIGNALS])
            if self._state.error is None and (self._state.depth or not self._received):
                ending_since = None
                continue
            ending_since = ending_since or time.monotonic()
            if time.monotonic() - ending_since > GRACE_S:
                self._end()

    def _note(self, numbers: list[int]) -> None:
        for number in numbers:
            if number == signal.SIGINT and self._received:
                self._state.signal_number, self._state.error = number, None
                self._end()
            elif self._received or (self._state.is_pending and number == signal.SIGTERM):
                continue  # a repetition; or a signal of our own, which asks the handler to raise
            else:
                self._received.append(number)
                if self._state.peers is not None:
                    self._state.peers.announce_stop(number)

    def _end(self) -> None:
        if self._state.error is None and not self._state.signal_number:  # no handler has run yet
            self._state.signal_number = self._received[0]
        assert self._state.end is not None
        self._state.end(self._state.error or self._state.interrupted())
