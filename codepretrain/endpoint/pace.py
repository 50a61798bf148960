"""When the next request may be sent: a rate, pauses that an endpoint asks for, and back-off."""

import math
import random
import threading
import time
from collections.abc import Callable

_FIRST_DELAY_S, _MAX_DELAY_S = 1.0, 60.0


class StoppedError(Exception):
    """Another thread has failed: no further request is sent."""


class DeadlineError(Exception):
    """Time has run out, or would before the next request may be sent."""


class Pace:
    """Shared by all threads. A pause holds back all of them: the limit is the account's."""

    def __init__(
        self,
        requests_per_minute: float | None,
        *,
        deadline_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """Starts the clock.

        Args:
          deadline_s: seconds from now after which no request is sent.
          wait: waits so many seconds and returns whether to stop; by default until `stop`.
        """
        self._interval = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._now = now
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._lock = threading.Lock()
        self._next = now()
        self._end = math.inf if deadline_s is None else now() + deadline_s

    def turn(self) -> None:
        """Waits until a request may be sent.

        Raises:
          StoppedError: after `stop`.
          DeadlineError: that is after the deadline.
        """
        while True:
            with self._lock:
                delay = self._next - self._now()
                if delay <= 0:
                    self._next = self._now() + self._interval
            if self._stopped.is_set():
                raise StoppedError
            self._check_deadline(delay)
            if delay <= 0:
                return
            self._wait(delay)

    def pause(self, seconds: float) -> None:
        """Sends nothing new for so long."""
        with self._lock:
            self._next = max(self._next, self._now() + seconds)

    def back_off(self, attempt: int) -> None:
        """Waits before the next attempt: 1, 2, 4, … 60 seconds, each up to a half shorter.

        Raises:
          StoppedError: after `stop`.
          DeadlineError: the next attempt would be after the deadline.
        """
        delay = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0**attempt) * random.uniform(0.5, 1.0)
        self._check_deadline(delay)
        if self._wait(delay) or self._stopped.is_set():
            raise StoppedError

    def stop(self) -> None:
        """Ends all waiting."""
        self._stopped.set()

    def _check_deadline(self, delay: float) -> None:
        if self._now() + max(0.0, delay) >= self._end:
            raise DeadlineError
