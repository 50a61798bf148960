"""Ctrl-C and SIGTERM ask a loop to stop at its next safe point; a second Ctrl-C stops at once."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupted(Exception):
    """The user or the machine asked to stop, and everything is saved. Carries the signal."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class Interrupt:
    """While entered, remembers SIGINT and SIGTERM instead of dying of them.

    `signal_number` is 0 until one arrives. Outside the main thread nothing is installed.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = number
