"""Which local checkpoints belong to the records of a run.

    <run>/local_checkpoints.json    {"lineage": "5f3a…"}

A run that resumes from a checkpoint of the working directory repeats the steps after it, and its
records of them are cut. Local checkpoints of these steps, perhaps on hosts that are not there now,
are of another history: resuming from one would leave a hole in the records. So each such resume
begins a new lineage, and a resume from a local checkpoint continues the one it is of. A run whose
folder was removed has none, nor has one that went on without a local folder.
"""

import secrets

from etils import epath

from codepretrain.files import storage
from codepretrain.files.atomic import write_json
from codepretrain.hosts import decide

_FILE = "local_checkpoints.json"


def lineage(run_dir: epath.Path) -> str:
    """Returns the lineage of a run, "" if there is none; every process must call it."""
    return decide("the lineage of the local checkpoints", lambda: _read(run_dir / _FILE))


def begin_lineage(run_dir: epath.Path) -> str:
    """Begins a new lineage; every process must call it, and one of them holds the run."""

    def begin() -> str:
        name = secrets.token_hex(8)
        write_json(run_dir / _FILE, {"lineage": name})
        return name

    return decide("a new lineage of local checkpoints", begin)


def end_lineage(run_dir: epath.Path) -> None:
    """Leaves a run without a lineage; every process must call it, and one of them holds the run."""
    decide("the end of a lineage", lambda: storage.remove(run_dir / _FILE))


def _read(path: epath.Path) -> str:
    if not storage.is_file(path):
        return ""
    return str(storage.read_json(path, remedy="delete the file")["lineage"])
