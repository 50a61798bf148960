"""The record of a checkpoint: its ledger and identity, and every file with its size and SHA-256.

    <directory>/<step>/   unfinished        appears first; removed when the checkpoint is committed
                          state/            arrays: a folder of each process, and a merged index
                          checkpoint.json   the record, sealed; it commits the checkpoint

The record is written after all other files. A folder with a record is committed. A folder without
one is unfinished if it is marked so, and damaged otherwise. The protocol needs no rename, so it
works in an object store too.

A run under a supervisor names the folder of the arrays by the attempt that saves them, such as
`state-5f3a0c11/`: what a process of an earlier attempt still writes ends up beside them.

Each process hashes the files that it wrote. Process 0 gathers the hashes, writes and hashes the
merged index, and writes the record.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import sync, write_bytes
from codepretrain.files.hashing import sha256_bytes, sha256_files
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import StrPath

RECORD = "checkpoint.json"
STATE = "state"
_UNFINISHED = "unfinished"
_FORMAT = 2
_STALE_S = 60.0  # how long a network file system may show an old listing
_REMEDY = "restore it, or move the checkpoint away"

Files = Mapping[str, tuple[int, str]]  # relative path → size in bytes, SHA-256


class FormatError(UserError):
    """Another version of this program wrote the checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What `checkpoint.json` holds. `ledger` and `identity` are JSON values."""

    step: int
    permanent: bool
    ledger: Any
    identity: Any
    files: Files

    @property
    def state(self) -> str:
        """The name of the folder of the arrays."""
        return next((name.partition("/")[0] for name in self.files), STATE)


def state_name(attempt: str) -> str:
    """Returns the name of the folder of the arrays that an attempt saves."""
    return f"{STATE}-{sha256_bytes(attempt.encode())[:8]}" if attempt else STATE


def write_record(folder: StrPath, record: Record) -> None:
    """Commits a checkpoint, or replaces the record of a committed one."""
    files = {
        name: {"size": size, "sha256": sha256} for name, (size, sha256) in record.files.items()
    }
    contents = {
        "format": _FORMAT,
        "step": record.step,
        "permanent": record.permanent,
        "ledger": record.ledger,
        "identity": record.identity,
        "files": files,
    }
    write_sealed(os.path.join(folder, RECORD), contents)
    storage.remove(os.path.join(folder, _UNFINISHED))


def read_record(folder: StrPath) -> Record:
    """Returns the record.

    Raises:
      MissingFileError: there is none.
      FormatError: another version of this program wrote it.
      UserError: it was altered.
    """
    path = os.path.join(folder, RECORD)
    contents, _ = read_sealed(path, remedy=_REMEDY)
    if contents.get("format") != _FORMAT:
        raise FormatError(
            f"{path} has format {contents.get('format')}; this version reads {_FORMAT}: use the "
            "version that wrote it"
        )
    files = {name: (file["size"], file["sha256"]) for name, file in contents["files"].items()}
    return Record(
        step=contents["step"],
        permanent=contents["permanent"],
        ledger=contents["ledger"],
        identity=contents["identity"],
        files=files,
    )


def mark_permanent(folder: StrPath) -> None:
    """Turns a temporary checkpoint into a permanent one."""
    write_record(folder, replace(read_record(folder), permanent=True))


def is_permanent(folder: StrPath) -> bool:
    """Returns whether a committed checkpoint stays; with a damaged record it counts as such."""
    try:
        return read_record(folder).permanent
    except UserError:
        return True


def steps_in(directory: StrPath) -> dict[int, bool]:
    """Returns the steps of a directory of checkpoints, with whether each is unfinished.

    Unfinished means that a save is under way or died; all others were committed.
    """
    numbers = [int(name) for name in storage.names(directory) if name.isdecimal()]
    return {step: _is_unfinished(os.path.join(directory, str(step))) for step in sorted(numbers)}


def _is_unfinished(folder: StrPath) -> bool:
    # Without the temporary file that a kill leaves while the mark or the record is written.
    names = [name for name in storage.names(folder) if not name.startswith(".")]
    return RECORD not in names and (_UNFINISHED in names or not names)


def begin(folder: epath.Path, state: str = STATE) -> None:
    """Makes the folder of an unfinished checkpoint, and that of its arrays."""
    write_bytes(folder / _UNFINISHED, b"")
    storage.make_folder(folder / state)


def remove(folder: StrPath) -> None:
    """Removes a checkpoint. If interrupted, the remainder counts as unfinished."""
    write_bytes(os.path.join(folder, _UNFINISHED), b"")
    storage.remove(os.path.join(folder, RECORD))
    for name in storage.names(folder):
        if name.startswith(STATE):
            storage.remove_tree(os.path.join(folder, name))
    storage.remove_tree(folder)


def hash_own_files(folder: StrPath, process_index: int, state: str = STATE) -> Files:
    """Returns the files that one process wrote, read back from storage."""
    arrays = f"{state}/ocdbt.process_{process_index}"
    below = storage.sizes_below(os.path.join(folder, arrays))
    names = [f"{arrays}/{name}" for name in sorted(below)]
    metadata = f"{state}/array_metadatas/process_{process_index}"
    if storage.is_file(os.path.join(folder, metadata)):
        names.append(metadata)
    return hash_files(folder, names)


def hash_rest(folder: StrPath, known: Files, state: str = STATE) -> Files:
    """Returns `known` and all other files of the arrays, which process 0 has written.

    Raises:
      UserError: this process does not see a file as the process that wrote it does.
    """
    seen = _sizes_with(folder, known, state)
    for name, (size, _) in known.items():
        if seen.get(name) != size:
            raise UserError(
                f"{folder}: process 0 sees {seen.get(name, 'no')} bytes of {name}, and the process "
                f"that wrote it {size}: all hosts must share one --workdir"
            )
    return {**known, **hash_files(folder, sorted(seen.keys() - known.keys()))}


def hash_files(folder: StrPath, names: Sequence[str]) -> Files:
    """Syncs files to disk and returns their sizes and SHA-256."""
    paths = [os.path.join(folder, name) for name in names]
    if storage.is_local(folder):  # Orbax syncs the arrays but not their metadata
        for path in [*paths, *{os.path.dirname(path) for path in paths}]:
            sync(path)
    sizes = [storage.size(path) for path in paths]
    return dict(zip(names, zip(sizes, sha256_files(paths), strict=True), strict=True))


def _sizes_with(folder: StrPath, known: Files, state: str) -> dict[str, int]:
    """Returns the size of every file of the arrays; waits for a stale listing to catch up."""
    deadline = time.monotonic() + _STALE_S
    while True:
        below = storage.sizes_below(os.path.join(folder, state))
        seen = {f"{state}/{name}": size for name, size in below.items()}
        if all(seen.get(n) == size for n, (size, _) in known.items()):
            return seen
        if time.monotonic() > deadline:
            return seen
        time.sleep(1.0)
