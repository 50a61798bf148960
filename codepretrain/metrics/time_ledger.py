"""Accounts for the time of a run, session by session: `time.jsonl`."""

import time
from datetime import UTC, datetime
from typing import Any, Self

from codepretrain.files import journal
from codepretrain.files.storage import StrPath
from codepretrain.metrics.stopwatch import Stopwatch

_SAVE_INTERVAL_S = 10.0
_FIELDS: journal.Fields = {
    "session": int,
    "started_at": str,
    "first_step": int,
    "last_step": int,
    "seconds": dict,
    "wall_s": float,
}


class TimeLedger:
    """The sessions of a run: a session is one process that trains the run.

    A record of `path` has: session, started_at (UTC), first_step, last_step, seconds {kind: s} and
    wall_s. `save` appends a record with the totals of this session so far, so the last record of
    each session counts, and a killed session loses only the time after it.

    Args:
      session: number of the start in `starts.jsonl`.
      first_step: updates the run had made when this session resumed it.
      stopwatch: its lap is the session; `close` starts a new one.
    """

    def __init__(
        self,
        path: StrPath,
        stopwatch: Stopwatch,
        *,
        session: int,
        first_step: int,
        is_primary: bool = True,
    ) -> None:
        self._stopwatch = stopwatch
        self._earlier: list[dict[str, Any]] = []
        self._journal: journal.Journal | None = None
        if is_primary:
            self._earlier = [one for one in read_sessions(path) if one["session"] < session]
            self._journal = journal.Journal(path, fields=_FIELDS, remembers=False)
        self._last_save = time.perf_counter()
        started_at = datetime.now(UTC).timestamp() - (self._last_save - stopwatch.lap_started)
        self._record = {
            "session": session,
            "started_at": datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
            "first_step": first_step,
        }

    def sessions(self, step: int) -> list[dict[str, Any]]:
        """Returns the records of all sessions, this one's up to now.

        Args:
          step: updates the run has made by now.
        """
        seconds = self._stopwatch.seconds()
        wall_s = self._stopwatch.wall_s
        record = {**self._record, "last_step": step, "seconds": seconds, "wall_s": wall_s}
        return [*self._earlier, record]

    def save(self, step: int, *, is_final: bool = False) -> None:
        """Appends this session's record; without `is_final`, at most every 10 seconds."""
        now = time.perf_counter()
        if self._journal is None or (now - self._last_save < _SAVE_INTERVAL_S and not is_final):
            return
        self._last_save = now
        self._journal.append(self.sessions(step)[-1])
        if is_final:
            self._journal.sync()

    def close(self) -> None:
        self._stopwatch.start_lap()
        if self._journal is not None:
            self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_sessions(path: StrPath) -> list[dict[str, Any]]:
    """Returns the last record of each session in `time.jsonl`, in order.

    Raises:
      UserError: a line is damaged, or lacks a field.
    """
    last = {record["session"]: record for record in journal.read(path, fields=_FIELDS)}
    return [last[number] for number in sorted(last)]
