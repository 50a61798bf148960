"""Messages between the processes of a run, independent of collective operations.

    process 1 gets SIGTERM    stop 15 ──► all     each replies with the number of its `reached_stop`
                                                  calls; process 0 announces the next call: there,
                                                  all processes save and exit
    process 1 fails           exit 2  ──► all     all exit with code 2 and the message of process 1
    process 1 is silent       exit 3  ──► all     process 0 sends it for process 1 (`peer_watch.py`)

A message reaches a process while its main thread is compiling, or waits in a collective operation
for a process that is gone. Without it the others would learn of a failure only from a missed
heartbeat, and JAX would abort them (exit code 134).

Process 0 runs the coordination service. If it is killed, no message can be sent: each of the others
finds the service gone.

Messages are numbered keys in the coordination service of `jax.distributed`, which all processes
read in the same order. `jax.experimental.multihost_utils.reached_preemption_sync_point` agrees on a
step in the same way. It is not used: it takes over SIGTERM, it knows no other signal, and it cannot
tell a process that is still compiling to exit.
"""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from codepretrain.signal_watch import GRACE_S

LOST_CODE = 3  # the exit code of a process that ends because another one is lost
_PREFIX = "codepretrain-peers"
_POLL_MS = 60_000  # a blocking read is repeated after this time
_REPLY_S = 2.0  # for the coordination service, which may be gone
_FAREWELL_S = GRACE_S + 5.0  # process 0 waits for the others, who have GRACE_S to end


class Peers:
    """The connection of this process to the others of the run.

    Args:
      client: the client of the coordination service.
      on_stop: called with a signal number when any process got a stop signal, this one included.
        Returns whether this process continues to an agreed call of `reached_stop`.
      on_exit: called with exit code and message when another process has ended.
    """

    def __init__(
        self,
        client: Any,
        *,
        process_index: int,
        process_count: int,
        on_stop: Callable[[int], bool],
        on_exit: Callable[[int, str], None],
    ) -> None:
        self._client = client
        self._process_index = process_index
        self._process_count = process_count
        self._on_stop = on_stop
        self._on_exit = on_exit
        self._condition = threading.Condition()
        self._num_calls = 0
        self._is_counted = False
        self._stop_call: int | None = None
        self._has_exit = threading.Event()
        self._lost: int | None = None
        self._is_leaving = False
        self.exit_message: tuple[int, str] | None = None
        self.exit_cause = ""  # what the process of that message said; "" if it did not
        threading.Thread(target=self._listen, name="peers", daemon=True).start()

    def announce_stop(self, signal_number: int) -> None:
        """Tells all processes of a stop signal; returns at once."""
        message = {"kind": "stop", "signal": signal_number}
        threading.Thread(target=self._post, args=(message,), daemon=True).start()

    def announce_exit(self, exit_code: int, message: str, *, cause: str = "") -> None:
        """Tells all processes that this one ends, and why; the first such message counts."""
        self._within(lambda: self._post(self._exit(exit_code, message) | {"cause": cause}))

    def report_lost(self, process: int, what: str) -> None:
        """Ends this process, and the others too while there is a service, for a lost process."""
        if process == 0:
            self._lose_process_0(what)
        else:
            message = {"kind": "exit", "process": None, "lost": process, "code": LOST_CODE}
            self._post(message | {"text": self._lost_text(process, what)})

    def reached_stop(self) -> bool:
        """Returns whether the agreed call is reached. All processes call this equally often."""
        with self._condition:
            self._num_calls += 1
            while self._is_counted and self._stop_call is None:
                self._condition.wait(1.0)
            return self._stop_call is not None and self._num_calls >= self._stop_call

    @property
    def has_agreed(self) -> bool:
        """Whether all processes have agreed on a call at which they stop."""
        return self._stop_call is not None

    def wait_for_exit_message(self, timeout_s: float) -> tuple[int, str] | None:
        """Returns exit code and message of the first process that ended, None if none does."""
        self._has_exit.wait(timeout_s)
        return self.exit_message

    def wait_for_all(self, timeout_s: float) -> None:
        """Waits until every process has called this, or the time is up."""
        with contextlib.suppress(RuntimeError):
            self._client.wait_at_barrier(f"{_PREFIX}/end", int(timeout_s * 1000))

    def say_farewell(self) -> None:
        """Waits until it is safe for this process to exit.

        Process 0 runs the coordination service: when it ends, JAX aborts the others. So it waits
        until they have said farewell.
        """
        self._is_leaving = True
        if self._lost == 0:
            return
        if self._process_index:
            key = f"{_PREFIX}/farewell/{self._process_index}"
            self._within(lambda: self._client.key_value_set(key, "", allow_overwrite=True))
            return
        deadline = time.monotonic() + _FAREWELL_S
        for process in set(range(1, self._process_count)) - {self._lost}:
            left_ms = int(1000 * (deadline - time.monotonic()))
            with contextlib.suppress(RuntimeError):
                self._client.blocking_key_value_get(
                    f"{_PREFIX}/farewell/{process}", max(left_ms, 1)
                )
        time.sleep(0.5)  # from a farewell to the end of that process

    def _listen(self) -> None:
        for number in itertools.count():
            message = self._read(f"{_PREFIX}/{number}")
            if message is None:
                if self._process_index:
                    self._lose_process_0("has ended without a message")
                return
            if message["kind"] == "stop":
                self._reply(message["signal"])
            elif message["kind"] == "stop_call":
                with self._condition:
                    self._stop_call = message["call"]
                    self._condition.notify_all()
            else:
                self._lost = message.get("lost")
                self.exit_cause = message.get("cause", "")
                self.exit_message = message["code"], message["text"]
                self._has_exit.set()
                if message["process"] != self._process_index:
                    self._on_exit(*self.exit_message)

    def _lose_process_0(self, what: str) -> None:
        """Ends this process alone, for there is no service to tell the others."""
        if not self._is_leaving and self.exit_message is None:
            self._lost = 0
            self.exit_message = LOST_CODE, self._lost_text(0, what)
            self._has_exit.set()
            self._on_exit(*self.exit_message)

    def _lost_text(self, process: int, what: str) -> str:
        return (
            f"process {process} of {self._process_count} {what}: it was killed, it hangs, or its "
            "host cannot be reached; read its output, then start all processes again to resume"
        )

    def _reply(self, signal_number: int) -> None:
        """Reports the calls made so far, and holds the next one until the stop call is known."""
        if not self._on_stop(signal_number):
            self._post(self._exit(128 + signal_number, "stopped by a signal"))
            return
        with self._condition:
            self._is_counted = True
            num_calls = self._num_calls
        with contextlib.suppress(RuntimeError):
            key = f"{_PREFIX}/calls/{self._process_index}"
            self._client.key_value_set(key, str(num_calls))
        if self._process_index == 0:
            threading.Thread(target=self._choose_stop_call, daemon=True).start()

    def _exit(self, exit_code: int, message: str) -> dict[str, Any]:
        text = f"process {self._process_index}: {message}"
        return {"kind": "exit", "process": self._process_index, "code": exit_code, "text": text}

    def _choose_stop_call(self) -> None:
        with contextlib.suppress(RuntimeError):
            counts = []
            for process in range(self._process_count):
                key = f"{_PREFIX}/calls/{process}"
                counts.append(int(self._client.blocking_key_value_get(key, 10 * _POLL_MS)))
            self._post({"kind": "stop_call", "call": max(counts) + 1})

    def _post(self, message: dict[str, Any]) -> None:
        """Appends a message. A stop counts if it is the first message, an exit if the first one."""
        for number in itertools.count():
            try:
                self._client.key_value_set(f"{_PREFIX}/{number}", json.dumps(message))
                return
            except RuntimeError as error:
                if "ALREADY_EXISTS" not in str(error):
                    return  # the service is gone, and JAX ends this process
            there = self._read(f"{_PREFIX}/{number}")
            if message["kind"] == "stop" or there is None or there["kind"] == "exit":
                return

    def _read(self, key: str) -> dict[str, Any] | None:
        """Waits for a message; None when the service is gone."""
        while True:
            try:
                return json.loads(self._client.blocking_key_value_get(key, _POLL_MS))
            except RuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    return None

    @staticmethod
    def _within(call: Callable[[], None]) -> None:
        """Runs a call to the service, and stops waiting for its answer after `_REPLY_S`."""

        def run() -> None:
            with contextlib.suppress(RuntimeError):
                call()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(_REPLY_S)
