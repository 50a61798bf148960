"""Which local checkpoints belong to the records of a run.

    <run>/local_checkpoints.json    {"lineage": "5f3a…", "starts": [["9c1e…", 0], ["77b0…", 100]]}

A run that resumes from a checkpoint of the working directory repeats the steps after it, and its
records of them are cut. Local checkpoints of these steps, perhaps on hosts that are not there now,
are of another history: resuming from one would leave a hole in the records. So each such resume
begins a new lineage. A run whose folder was removed has none, nor has one that went on without a
local folder.

A resume from a local checkpoint continues its lineage, and repeats the steps after it, too. Copies
of these steps by an earlier start may be left on hosts that were away; they are not used. Where
arithmetic is not bitwise reproducible, a state must not be assembled from both.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.files import storage
from codepretrain.files.atomic import write_json
from codepretrain.hosts import decide

_FILE = "local_checkpoints.json"


@dataclass(frozen=True)
class Lineage:
    """The starts of a run that make one history: a name, and the step from which each went on."""

    name: str = ""
    starts: tuple[tuple[str, int], ...] = ()

    @property
    def start(self) -> str:
        """The name of the newest start."""
        return self.starts[-1][0] if self.starts else ""

    def knows(self, start: str) -> bool:
        """Returns whether a start is one of the history."""
        return start in dict(self.starts)

    def has(self, start: str, step: int) -> bool:
        """Returns whether the history has this step as that start made it."""
        if not self.knows(start):
            return False
        names = [name for name, _ in self.starts]
        return all(step <= first for _, first in self.starts[names.index(start) + 1 :])


def lineage(run_dir: epath.Path) -> Lineage:
    """Returns the lineage of a run, an empty one if there is none; every process must call it."""
    return _lineage(decide("the lineage of the local checkpoints", lambda: _read(run_dir)))


def begin_start(run_dir: epath.Path, step: int, *, of: Lineage | None) -> Lineage:
    """Returns the lineage with a new start; every process must call it, and one holds the run.

    Args:
      step: from which the run goes on. of: the lineage it goes on with; None for a new one.
    """

    def begin() -> dict[str, Any]:
        known = Lineage(name=secrets.token_hex(8)) if of is None else of
        starts = [*known.starts, (secrets.token_hex(4), step)]
        contents = {"lineage": known.name, "starts": starts}
        write_json(run_dir / _FILE, contents)
        return contents

    return _lineage(decide("a new start of the local checkpoints", begin))


def end_lineage(run_dir: epath.Path) -> None:
    """Leaves a run without a lineage; every process must call it, and one of them holds the run."""
    decide("the end of a lineage", lambda: storage.remove(run_dir / _FILE))


def _lineage(contents: dict[str, Any]) -> Lineage:
    starts = tuple((str(name), int(step)) for name, step in contents.get("starts", []))
    return Lineage(str(contents.get("lineage", "")), starts) if starts else Lineage()


def _read(run_dir: epath.Path) -> dict[str, Any]:
    if not storage.is_file(run_dir / _FILE):
        return {}
    contents: dict[str, Any] = storage.read_json(run_dir / _FILE, remedy="delete the file")
    return contents
