"""Where the seconds of a run go, session by session."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codepretrain.files import jsonl

TIME_KINDS = ("program", "compile", "train", "save", "evaluate", "wait_for_data")


class TimeLedger:
    """Where the seconds of a run's sessions go: every moment belongs to exactly one kind.

    `with time.spent("save"):` charges "save" until the block ends; a block within it charges its
    own kind and interrupts the outer one; what no block claims is "program". So the kinds sum to
    the wall time since `since`.

        program |--------|        |--|                  |---|
        train            |--|  |--|  |--|            |--|
        wait_for_data       |--|
        evaluate                        |---|   |----|
        compile                             |---|               → time

    One session is one line of `path`: session, process, started_at (UTC), first_step, last_step,
    seconds {kind: s}, wall_s, and the `provenance` (code version, devices, …) it ran with. `save`
    replaces this session's line, so a killed session loses only what came after its last `save`.

    Args:
      first_step: updates the run had made when this session took it up.
      since: `time.perf_counter()` at the moment from which time is charged; now, if None.
    """

    def __init__(
        self,
        path: Path,
        *,
        first_step: int,
        provenance: Mapping[str, Any] | None = None,
        since: float | None = None,
        process_index: int = 0,
    ) -> None:
        self._path = path
        self._is_primary = process_index == 0
        self._since = time.perf_counter() if since is None else since
        self._mark = self._since
        self._kinds = ["program"]
        self._seconds = dict.fromkeys(TIME_KINDS, 0.0)
        self._earlier = jsonl.read(path) if self._is_primary else []
        started_at = datetime.now(UTC).timestamp() - (time.perf_counter() - self._since)
        self._line = {
            "session": len(self._earlier),
            "started_at": datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
            "first_step": first_step,
            "last_step": first_step,
            **(provenance or {}),
        }

    @contextmanager
    def spent(self, kind: str) -> Iterator[None]:
        """Charges what happens within to `kind`, one of `TIME_KINDS`."""
        assert kind in TIME_KINDS, (kind, TIME_KINDS)
        self._charge()
        self._kinds.append(kind)
        try:
            yield
        finally:
            self._charge()
            self._kinds.pop()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of this session by kind, up to now; they sum to its wall time."""
        self._charge()
        return dict(self._seconds)

    def sessions(self, step: int) -> list[dict[str, Any]]:
        """Returns the lines of all sessions, this one's up to now; `step`: updates made by now."""
        seconds = self.seconds
        wall_s = self._mark - self._since
        line = {**self._line, "last_step": step, "seconds": seconds, "wall_s": wall_s}
        return [*self._earlier, line]

    def save(self, step: int) -> None:
        """Writes this session's line; `step`: updates the run has made by now."""
        if not self._is_primary:
            return
        lines = [jsonl.encode(record) + "\n" for record in self.sessions(step)]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        jsonl.write_atomically(self._path, "".join(lines))

    def _charge(self) -> None:
        now = time.perf_counter()
        self._seconds[self._kinds[-1]] += now - self._mark
        self._mark = now
