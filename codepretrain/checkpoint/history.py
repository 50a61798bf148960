"""Which checkpoints a run has committed and deleted, so that a lost one is noticed.

    checkpoints.jsonl    {"step": 400, "event": "committed" | "deleted" | "given_up"}

The journal is next to the folder of checkpoints, not in it. After a crash a run resumes from its
newest checkpoint, a few steps before the end of its logs; this is normal. A checkpoint that was
committed, never deleted, and is missing was removed by something else. Retraining it would spend
compute and replace records, so it needs the user's consent.

Only process 0 uses this; the caller must hold the run.
"""

import os
from collections.abc import Collection, Iterable
from typing import Literal

from codepretrain.files.journal import Journal, read
from codepretrain.files.storage import StrPath

Event = Literal["committed", "deleted", "given_up"]

_FIELDS = {"step": int, "event": str}


def last_events(path: StrPath) -> dict[int, Event]:
    """Returns the latest event of every step in the journal at `path`."""
    return {record["step"]: record["event"] for record in read(path, fields=_FIELDS)}


class History:
    """The journal of one run, open for appending."""

    def __init__(self, checkpoints: StrPath, *, present: Collection[int]) -> None:
        """Opens the journal next to the folder `checkpoints`.

        Args:
          present: steps committed by the files. A kill between a commit and its line in the journal
            leaves one that the journal does not know; it is added.
        """
        path = history_path(checkpoints)
        self._journal = Journal(path, remembers=False)
        known = last_events(path)
        self.append("committed", sorted(s for s in present if known.get(s) != "committed"))

    def append(self, event: Event, steps: Iterable[int]) -> None:
        """Appends a line for each step and syncs the journal."""
        lines = [{"step": step, "event": event} for step in steps]
        for line in lines:
            self._journal.append(line)
        if lines:
            self._journal.sync()

    def close(self) -> None:
        self._journal.close()


def history_path(checkpoints: StrPath) -> str:
    """Returns the path of the journal for a folder of checkpoints."""
    return os.path.join(os.path.dirname(os.fspath(checkpoints)), "checkpoints.jsonl")
