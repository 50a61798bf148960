"""Notices that another process of the run was killed or hangs, before JAX aborts this one.

Each process writes a counter to the coordination service every `PERIOD_S` seconds. Process 0 reads
the counters of all processes, the others read that of process 0. A process whose counter stays the
same for `timeout_s` is lost. So is process 0 when nothing listens at the service's port any more.

JAX watches too, but it aborts this process (exit code 134) and prints a stack trace. Its heartbeats
therefore get a longer timeout (`jax_timeout_s`). It notices at once that the service is gone, and
aborts within a thread that holds a lock of the client: each call of ours hangs from then on.
"""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

PERIOD_S = 1.0
_SUSPICIOUS_S = 2 * PERIOD_S  # of silence, after which this process looks for the service
_PREFIX = "codepretrain-alive"


def jax_timeout_s(timeout_s: int) -> int:
    """Returns the timeout of JAX's heartbeats: those of a live process are up to half of it apart.

    >>> jax_timeout_s(30)
    80
    """
    return 2 * (timeout_s + 10)


class PeerWatch:
    """Watches the other processes of the run from two threads.

    Args:
      client: the client of the coordination service.
      address: host:port of the coordination service.
      timeout_s: how long a process may be silent.
      on_lost: called once, with the index of the first lost process and what is known of it.
    """

    def __init__(
        self,
        client: Any,
        *,
        address: str,
        process_index: int,
        process_count: int,
        timeout_s: float,
        on_lost: Callable[[int, str], None],
    ) -> None:
        self._client = client
        self._address = address
        self._process_index = process_index
        watched = range(1, process_count) if process_index == 0 else range(1)
        self._counters = dict.fromkeys(watched, "")
        self._silent_s = dict.fromkeys(watched, 0.0)
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._is_over = threading.Event()
        for run in (self._exchange, self._check):
            threading.Thread(target=run, name="peer watch", daemon=True).start()

    def stop(self) -> None:
        """Ends both threads: this process is about to exit, and so are the others."""
        self._is_over.set()

    def counters(self) -> dict[int, str]:
        """Returns the counter of each process that has one."""
        with contextlib.suppress(RuntimeError):
            found = self._client.key_value_dir_get(_PREFIX)
            return {int(key.rpartition("/")[2]): value for key, value in found}
        return {}

    def is_any_silent(self, before: Mapping[int, str]) -> bool:
        """Returns whether the counter of another process is still that of `before`."""
        now = self.counters()
        others = before.keys() - {self._process_index}
        return any(now.get(process) == before[process] for process in others)

    def _exchange(self) -> None:
        """Writes and reads counters, in a thread of its own because a call may hang."""
        for number in itertools.count():
            with contextlib.suppress(RuntimeError):  # not reachable now: silence, which is counted
                key = f"{_PREFIX}/{self._process_index}"
                self._client.key_value_set(key, str(number), allow_overwrite=True)
                self._note(self._read())
            if self._is_over.wait(PERIOD_S):
                return

    def _read(self) -> dict[int, str]:
        if self._process_index == 0:
            return self.counters()
        return {0: self._client.key_value_try_get(f"{_PREFIX}/0")}

    def _note(self, counters: Mapping[int, str]) -> None:
        for process in self._counters.keys() & counters.keys():
            if self._counters[process] != counters[process]:
                self._counters[process] = counters[process]
                self._silent_s[process] = 0.0

    def _check(self) -> None:
        """Counts only time in which this process ran: it may have been suspended itself."""
        before = time.monotonic()
        while not self._is_over.wait(PERIOD_S / 2):
            now = time.monotonic()
            passed_s, before = min(now - before, PERIOD_S), now
            for process in self._silent_s:
                self._silent_s[process] += passed_s
                what = self._finding(process)
                if what and not self._is_over.is_set():
                    self._on_lost(process, what)
                    return

    def _finding(self, process: int) -> str:
        """Returns in what way a process is lost, an empty text if it is not."""
        if self._silent_s[process] > self._timeout_s:
            return f"has not answered for {self._timeout_s:g} s (--heartbeat-timeout-s)"
        if process == 0 and self._silent_s[0] > _SUSPICIOUS_S and not _listens(self._address):
            return "has ended without a message"
        return ""


def _listens(address: str) -> bool:
    """Returns False if the host says that nothing listens at host:port; True if it says nothing."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PERIOD_S).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True
