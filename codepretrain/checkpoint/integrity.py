"""Whether the files of a checkpoint are those that were written.

A record lies beside them: every file with its size and SHA-256. It is written when all other files
are, and before the checkpoint is committed, so a committed checkpoint without one is damaged.
"""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from codepretrain.errors import UserError

_RECORD = "integrity.json"
_VERSION = 1
# Orbax writes these while it commits, after the record. They hold nothing of the state.
_METADATA, _COMMITTED = "_CHECKPOINT_METADATA", "commit_success.txt"
_CHUNK_BYTES = 8 * 2**20
_THREADS = 8  # SHA-256 and reading let go of the interpreter's lock

# What may have happened to a file, by code: the codes travel between processes.
_FAULTS = ("", "is missing", "was {size:,} bytes long and is not", "is not what was written")


@dataclass(frozen=True)
class _Record:
    permanent: bool
    files: dict[str, tuple[int, str]]  # relative path → size in bytes, SHA-256


def write_record(directory: epath.Path, *, permanent: bool) -> None:
    """Records the files below `directory`, and whether the checkpoint is to be kept."""
    names = sorted(_names(directory) - {_RECORD, _METADATA, _COMMITTED})
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = pool.map(lambda name: _sha256(directory / name), names)
        files = {
            name: ((directory / name).stat().length, digest)
            for name, digest in zip(names, digests, strict=True)
        }
    _write(directory, _Record(permanent, files))


def mark_permanent(directory: epath.Path) -> None:
    """Makes a temporary checkpoint one to be kept."""
    _write(directory, replace(_read(directory), permanent=True))


def is_temporary(directory: epath.Path) -> bool:
    """Returns whether the record says so; without a readable record nothing does."""
    try:
        return not _read(directory).permanent
    except (OSError, ValueError):
        return False


def find_damage(directory: epath.Path) -> tuple[str, ...]:
    """Returns what is wrong with a committed checkpoint, a phrase per file; nothing if it is whole.

    Reads every file once, shared out over the processes: all must call it and get the same answer.
    """
    try:
        files = _read(directory).files
    except FileNotFoundError:
        return (f"{_RECORD} is missing",)
    except UserError:
        raise
    except ValueError:
        return (f"{_RECORD} is not what was written",)
    names = sorted(files)
    codes = np.zeros(len(names), np.int32)
    mine = range(jax.process_index(), len(names), jax.process_count())
    with ThreadPoolExecutor(_THREADS) as pool:
        codes[mine] = list(pool.map(lambda i: _fault(directory / names[i], *files[names[i]]), mine))
    if jax.process_count() > 1:
        codes = np.max(multihost_utils.process_allgather(codes), axis=0)
    found = [
        f"{name} {_FAULTS[code].format(size=files[name][0])}"
        for name, code in zip(names, codes, strict=True)
        if code
    ]
    return (*found, *_faults_of_commit(directory))


def _fault(path: epath.Path, size: int, digest: str) -> int:
    """Returns a code of `_FAULTS`."""
    if not path.exists():
        return 1
    if path.stat().length != size:
        return 2
    return 0 if _sha256(path) == digest else 3


def _faults_of_commit(directory: epath.Path) -> Iterable[str]:
    for name in (_METADATA, _COMMITTED):
        if not (directory / name).exists():
            yield f"{name} is missing"
        elif name == _METADATA and not _is_json((directory / name).read_text()):
            yield f"{name} is not what was written"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _names(directory: epath.Path) -> set[str]:
    """Returns the paths of all files below, relative, with forward slashes."""
    return {
        (folder / name).relative_to(directory).as_posix()
        for folder, _, names in directory.walk()
        for name in names
    }


def _sha256(path: epath.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _read(directory: epath.Path) -> _Record:
    """Returns the record; raises FileNotFoundError without one, ValueError for a damaged one."""
    content = json.loads((directory / _RECORD).read_text())
    try:
        version, permanent = content["version"], content["permanent"]
        files = {name: (int(f["size"]), str(f["sha256"])) for name, f in content["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{_RECORD} lacks a field") from error
    if version != _VERSION:
        raise UserError(
            f"{directory / _RECORD} has format {version}; this version reads {_VERSION}"
        )
    return _Record(permanent=bool(permanent), files=files)


def _write(directory: epath.Path, record: _Record) -> None:
    """Replaces the record in one move: a reader finds the old one or the new one, whole."""
    content = {
        "version": _VERSION,
        "permanent": record.permanent,
        "files": {
            name: {"size": size, "sha256": digest} for name, (size, digest) in record.files.items()
        },
    }
    new = directory / f"{_RECORD}.new"
    new.write_text(json.dumps(content, indent=1) + "\n")
    new.replace(directory / _RECORD)
