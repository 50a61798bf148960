"""The files of local checkpoints on one host.

    <local_folder>/<run>-<hash of its address>/<lineage>/<step>/process-<i>/
        record.json       sealed: step, start (lineage.py), layout, ledger, identity
        part-<j>.bin      the distinct shards of a part, leaf by leaf
        files.json        sealed: size and SHA-256 of both, written last (files/directory.py)

`process-<i>` says who wrote the folder, and nothing of who reads it: after a restart a host may run
another process. What a file holds is the part in its name, of the layout in its record.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from codepretrain.checkpoint.local.lineage import Lineage
from codepretrain.errors import DamageError, UserError
from codepretrain.files import storage
from codepretrain.files.differences import differences
from codepretrain.files.directory import (
    check_directory,
    is_whole,
    remove_directory,
    whole_directory,
)
from codepretrain.files.hashing import sha256_bytes, sha256_json
from codepretrain.files.new_file import NewFile
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import read_bytes

_FORMAT = 2
_RECORD = "record.json"
_REMEDY = "nothing is to be done: it is not used"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of a part. digest: of all that identifies its state beside the step."""

    step: int
    digest: str
    part: int
    path: str
    sha256: str
    ledger: Any

    def read(self) -> bytes:
        """Returns the bytes. Raises UserError if they are not those that were written."""
        content = read_bytes(self.path)
        if sha256_bytes(content) != self.sha256:
            raise DamageError(f"{self.path} differs from what was written")
        return content


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a host has: usable copies, and what is told of the others."""

    copies: Sequence[Copy]
    damaged: Sequence[str]
    others: Sequence[str]  # of another mesh, number of processes, phase, or history


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is stored beside the parts. layout, described: of `Layout`."""

    step: int
    start: str
    layout: str
    described: str
    ledger: Any
    identity: Any

    @property
    def digest(self) -> str:
        return sha256_json(
            {
                "start": self.start,
                "layout": self.layout,
                "ledger": self.ledger,
                "identity": self.identity,
            }
        )


def run_folder(local_folder: epath.Path, run_dir: epath.Path) -> epath.Path:
    """Returns the folder for a run, which is that of no other working directory."""
    address = sha256_bytes(os.fspath(run_dir).encode())[:8]
    return local_folder / f"{run_dir.name}-{address}"


def write(
    folder: epath.Path,
    process: int,
    record: Record,
    parts: Mapping[int, Iterable[Sequence[np.ndarray]]],
) -> dict[int, str]:
    """Writes what a process keeps of a step, whole or not at all; returns the SHA-256 of each part.

    Args:
      folder: of the lineage.
      parts: part → the distinct shards of each leaf.
    """
    path = folder / str(record.step) / f"process-{process}"
    remove_directory(path)
    with whole_directory(path) as new:
        contents = {
            "format": _FORMAT,
            "step": record.step,
            "start": record.start,
            "layout": record.layout,
            "described": record.described,
            "ledger": record.ledger,
            "identity": record.identity,
        }
        write_sealed(new / _RECORD, contents)
        for part, leaves in parts.items():
            with NewFile(new / _name(part)) as file:
                for shards in leaves:
                    for shard in shards:
                        file.write(np.ascontiguousarray(shard).reshape(-1).view(np.uint8).data)
    listed = check_directory(path, reads_contents=False, remedy=_REMEDY)
    return {part: listed[_name(part)] for part in parts}


def scan(folder: epath.Path, *, layout: str, identity: Any, lineage: Lineage) -> Found:
    """Returns what is on this host's disk; checks names and sizes, and no contents yet.

    Args:
      folder: of the lineage.
      layout, identity: those of this job.
      lineage: of the run; steps that a later start repeats are passed over.
    """
    copies: list[Copy] = []
    damaged: list[str] = []
    others: list[str] = []
    for step in steps(folder):
        for name in storage.names(folder / str(step)):
            path = folder / str(step) / name
            if not name.startswith("process-"):  # left by a kill while it was written
                continue
            if not is_whole(path):
                damaged.append(f"{path}: the list of its files is missing")
                continue
            try:
                listed = check_directory(path, reads_contents=False, remedy=_REMEDY)
                record = _read_record(path)
            except UserError as error:
                damaged.append(str(error))
                continue
            if not lineage.knows(record.start):
                others.append("a start of this run saved them that its records do not have")
            elif not lineage.has(record.start, record.step):
                continue
            elif record.layout != layout:
                others.append(f"they were saved on {record.described}")
            elif found := differences(record.identity, identity):
                others.append(f"{path} belongs to another phase: {'; '.join(found)}")
            else:
                copies += _copies(path, record, listed)
    return Found(copies=copies, damaged=damaged, others=others)


def steps(folder: epath.Path) -> list[int]:
    """Returns the steps of a lineage, whole or not."""
    return sorted(int(name) for name in storage.names(folder) if name.isdecimal())


def remove_steps(folder: epath.Path, unwanted: Collection[int]) -> None:
    """Removes steps of a lineage."""
    for step in unwanted:
        storage.remove_tree(folder / str(step))


def remove_lineages(folder: epath.Path, *, but: str = "") -> None:
    """Removes what a run has here, but for one lineage."""
    for name in storage.names(folder):
        if name != but:
            storage.remove_tree(folder / name)
    if not storage.names(folder):
        storage.remove_tree(folder)


def _copies(path: epath.Path, record: Record, listed: Mapping[str, str]) -> list[Copy]:
    return [
        Copy(
            step=record.step,
            digest=record.digest,
            part=int(name.removeprefix("part-").removesuffix(".bin")),
            path=os.fspath(path / name),
            sha256=sha256,
            ledger=record.ledger,
        )
        for name, sha256 in listed.items()
        if name != _RECORD
    ]


def _read_record(path: epath.Path) -> Record:
    contents, _ = read_sealed(path / _RECORD, remedy=_REMEDY)
    if contents.pop("format", None) != _FORMAT:
        raise UserError(f"{path / _RECORD} was written by another version of this program")
    return Record(**contents)


def _name(part: int) -> str:
    return f"part-{part}.bin"
