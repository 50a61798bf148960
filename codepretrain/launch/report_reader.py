"""Reads what a worker reports through its progress pipe.

Each line is one JSON object that holds what changed; see `progress_pipe.py`, which writes it.
A line that cannot be read is counted and skipped: it never ends a worker.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from codepretrain.launch.records import CAUSES, End, WorkerReport

_CHUNK_BYTES = 65_536
_MAX_LINE_BYTES = 1_000_000
_WHOLE = ("step", "counter", "resumed_step", "saved_step")
_SECONDS = ("save_s", "step_s")


class ReportReader:
    """The reports of one worker, from the reading end of its pipe.

    Attributes:
      descriptor: of the pipe; is_open: whether anything can still come.
      end: how the worker says that it ends, None if it has not.
      num_bad_lines: lines that could not be read.
    """

    def __init__(self, descriptor: int, *, now_s: Callable[[], float]) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._now_s = now_s
        self._pending = b""
        self._values: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        self._moved_s = now_s()
        self.is_open = True
        self.end: End | None = None
        self.num_bad_lines = 0

    def read(self) -> None:
        """Takes what is in the pipe; never blocks."""
        while self.is_open:
            try:
                chunk = os.read(self.descriptor, _CHUNK_BYTES)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                self.close()
                return
            *lines, self._pending = (self._pending + chunk).split(b"\n")
            for line in lines:
                self._take(line)
            if len(self._pending) > _MAX_LINE_BYTES:
                self._pending = b""
                self.num_bad_lines += 1

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            os.close(self.descriptor)

    @property
    def report(self) -> WorkerReport | None:
        """The newest report, None before the first."""
        if not self._values:
            return None
        idle_s = max(0.0, self._now_s() - self._moved_s)
        return WorkerReport(
            activity=self._values.get("activity", "init"),
            step=self._values.get("step"),
            counter=self._values.get("counter", 0),
            idle_s=round(idle_s, 1),
            resumed_step=self._values.get("resumed_step"),
            saved_step=self._values.get("saved_step"),
            save_s=self._values.get("save_s"),
            step_s=self._values.get("step_s"),
            facts=dict(self._facts),
        )

    @property
    def step(self) -> int | None:
        return self._values.get("step")

    def _take(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError("expected an object")
            self._merge(values)
        except (ValueError, TypeError, RecursionError):
            self.num_bad_lines += 1

    def _merge(self, values: Mapping[str, Any]) -> None:
        """Takes the fields of one line. Raises ValueError, before any change, if one is wrong."""
        new = _checked(values)
        end = _end(values["end"]) if "end" in values else None
        facts = values.get("facts", {})
        if not isinstance(facts, dict):
            raise ValueError("facts: expected an object")
        if "phase" in values:
            facts = {**facts, "phase": str(values["phase"])}
            if facts["phase"] != self._facts.get("phase"):  # the numbers of another phase
                self._facts.clear()
                for name in ("resumed_step", "saved_step", "step"):
                    self._values.pop(name, None)
        before = {name: self._values.get(name) for name in ("activity", "step", "counter")}
        self._values.update(new)
        self._facts.update(facts)
        if any(self._values.get(name) != value for name, value in before.items()):
            self._moved_s = self._now_s()
        self.end = end or self.end


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that a report has, of the right types; others are ignored."""
    found: dict[str, Any] = {}
    if "activity" in values:
        found["activity"] = _text(values["activity"], "activity")
    for name in _WHOLE:
        if name in values:
            value = values[name]
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{name}: expected a whole number")
            found[name] = value
    for name in _SECONDS:
        if name in values:
            value = values[name]
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ValueError(f"{name}: expected a number")
            found[name] = float(value)
    return found


def _end(value: Any) -> End:
    if not isinstance(value, dict) or value.get("cause") not in CAUSES:
        raise ValueError(f"end: expected a cause of {', '.join(CAUSES)}")
    if not isinstance(value.get("code"), int):
        raise ValueError("end: expected a code")
    return End(
        code=value["code"],
        cause=value["cause"],
        is_cascade=bool(value.get("is_cascade", False)),
        message=str(value.get("message", "")),
    )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected text")
    return value
