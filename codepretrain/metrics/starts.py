"""The environment of each start of a run: `starts.jsonl`, one record per process.

A record has: start (its number), started_at (UTC), purpose and the provenance, which
`study/provenance.py` collects. Nothing is overwritten, so the file shows whether a run was resumed
on other devices, with another library, or with edited code.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from codepretrain.files import journal
from codepretrain.files.storage import StrPath

Purpose = Literal["train", "average", "rebuild", "evaluate"]


def record_start(path: StrPath, purpose: Purpose, provenance: Mapping[str, Any]) -> int:
    """Appends a record and returns its number. The caller holds the folder of the run.

    Raises:
      UserError: the file is damaged, or cannot be written.
    """
    with journal.Journal(path, remembers=False) as starts:
        number = starts.num_kept
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        start = {"start": number, "started_at": started_at, "purpose": purpose}
        starts.append({**start, **provenance})
        starts.sync()
    return number
