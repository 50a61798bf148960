"""What this process reports to its supervisor (`launch/`): one JSON object per line of a pipe.

    {"activity": "compile"}                       what the main thread is doing
    {"step": 120, "counter": 131, "step_s": 0.4}  the newest finished step; how often the main
                                                  thread got on; the median time of the last steps
    {"phase": "trunk", "resumed_step": 100}       before the first step
    {"saved_step": 120, "save_s": 2.1}            committed, not merely started
    {"facts": {"loss": 2.3, …}}                   at logged steps
    {"end": {"code": 2, "cause": "divergence", "is_cascade": false, "message": "…"}}

A line holds what changed. The main thread only sets attributes; a thread reads them every
`PERIOD_S` and writes. So a step costs no system call, however short it is, and only activities that
last are reported. `resumed_step`, `saved_step` and `end` are written at once.

Writing never blocks and never raises. A line is at most PIPE_BUF bytes, so it is written whole or
not at all; what a full pipe refuses is written later. Without a descriptor nothing is written.
"""

import contextlib
import json
import os
import select
import statistics
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

PERIOD_S = 0.5
_MAX_LINE = 4096  # PIPE_BUF of Linux, up to which a write is atomic; POSIX grants 512
_MAX_MESSAGE = 1500
_END_WAIT_S = 1.0  # for a pipe that is full when the process ends
_NUM_DURATIONS = 101  # of steps, for their median
_NAMES = {"start": "init"}  # activity of `metrics/stopwatch.py` → its name in a report


class ProgressPipe:
    """The reports of one process. `connect` and `start` are called once, if at all."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._lock = threading.RLock()
        self._state: dict[str, Any] = {"activity": "init"}
        self._written: dict[str, Any] = {}
        self._counter = 0
        self._step_at = 0.0
        self._first_s: float | None = None  # of the first step, which compiles
        self._durations: deque[float] = deque(maxlen=_NUM_DURATIONS)  # of those after it
        self._has_ended = False

    @property
    def is_connected(self) -> bool:
        return self._descriptor is not None

    def connect(self, descriptor: int) -> None:
        """Writes to a descriptor from here on; children of this process do not inherit it.

        Raises:
          OSError: it is not open.
        """
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._flush()

    def start(self) -> None:
        """Starts the thread that writes; before, only what is written at once is."""
        if self._descriptor is not None:
            threading.Thread(target=self._run, name="progress", daemon=True).start()

    def set_activity(self, kind: str) -> None:
        """Reports what the main thread is doing, one of `metrics/stopwatch.py`'s kinds of time."""
        self._state["activity"] = _NAMES.get(kind, kind)

    def count(self) -> None:
        """Reports that the main thread got on: with a step, an item, a file.

        Calls by other threads do not count: they may run while the main thread is stuck.
        """
        if threading.get_ident() == threading.main_thread().ident:
            self._counter += 1
            self._state["counter"] = self._counter

    def finish_step(self, step: int) -> None:
        """Reports the newest step whose result is there."""
        now, before = time.perf_counter(), self._state.get("step")
        if before is not None and step > before:
            duration = (now - self._step_at) / (step - before)
            if self._first_s is None:
                self._first_s = duration
            else:
                self._durations.append(duration)
        self._step_at = now
        self._state["step"] = step

    def step_s(self) -> float | None:
        """Returns the median seconds of the last steps; of the first one until there are others."""
        durations = [*self._durations]
        return round(statistics.median(durations), 6) if durations else self._first_s

    def resume(self, phase: str, step: int) -> None:
        """Reports from which step a phase goes on, at once."""
        self._first_s = None
        self._durations.clear()
        self._state.pop("step_s", None)
        self._step_at = time.perf_counter()
        self._state.update(phase=phase, resumed_step=step, step=step)
        self._forget("phase", "resumed_step", "step")
        self._flush()

    def save(self, step: int, seconds: float | None) -> None:
        """Reports a committed checkpoint, at once; `seconds`: from the start of the save."""
        self._state["saved_step"] = step
        if seconds is not None:
            self._state["save_s"] = round(seconds, 3)
        self._forget("saved_step", "save_s")
        self._flush()

    def note(self, facts: Mapping[str, Any]) -> None:
        """Reports facts of the last logged step, such as its loss."""
        self._state["facts"] = dict(facts)

    def end(self, *, code: int, cause: str, is_cascade: bool, message: str) -> None:
        """Reports how this process ends; only the first call counts."""
        if self._descriptor is None or self._has_ended:
            return
        self._has_ended = True
        self._flush()
        end = {"code": code, "cause": cause, "is_cascade": is_cascade}
        message = message.encode(errors="replace")[:_MAX_MESSAGE].decode(errors="replace")
        while not _fits(line := _line({"end": {**end, "message": message}})):
            message = message[: len(message) // 2]
        with contextlib.suppress(OSError, ValueError):
            waiting = select.poll()
            waiting.register(self._descriptor, select.POLLOUT)
            waiting.poll(1000 * _END_WAIT_S)
        self._write(line)

    def _run(self) -> None:
        while not self._has_ended:
            time.sleep(PERIOD_S)
            if (step_s := self.step_s()) is not None:
                self._state["step_s"] = step_s
            self._flush()

    def _flush(self) -> None:
        """Writes what has changed since it was last written."""
        if self._descriptor is None:
            return
        with self._lock:
            changed = {k: v for k, v in [*self._state.items()] if self._written.get(k) != v}
            if changed and _fits(line := _line(changed)) and self._write(line):
                self._written.update(changed)

    def _forget(self, *names: str) -> None:
        """Has values written again although they are the same as before."""
        with self._lock:
            for name in names:
                self._written.pop(name, None)

    def _write(self, line: bytes) -> bool:
        """Returns whether the line was written; the pipe may be full, or nobody reads it."""
        assert self._descriptor is not None
        try:
            return os.write(self._descriptor, line) == len(line)
        except OSError:
            return False


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _fits(line: bytes) -> bool:
    return len(line) <= _MAX_LINE


PROGRESS = ProgressPipe()
