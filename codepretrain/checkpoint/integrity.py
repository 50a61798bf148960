"""Verifies that the files of a committed checkpoint are unchanged.

Process 0 reads the record, all processes share the hashing, and all get the same result.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import jax

from codepretrain.checkpoint.record import RECORD, Files, FormatError, Record, read_record
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hashing import sha256_files
from codepretrain.files.storage import MissingFileError, StrPath
from codepretrain.hosts import decide, gather


def verify(folder: StrPath) -> tuple[Record | None, tuple[str, ...]]:
    """Returns the record of a checkpoint, and a description of each damaged file.

    The record is None if it is itself missing or damaged. Reads every file once. All processes must
    call it, and get the same answer.

    Raises:
      FormatError: another version of this program wrote the checkpoint.
    """
    content, fault = decide(f"the record of {folder}", lambda: _record(folder))
    if content is None:
        return None, (fault,)
    record = Record(**content)
    faults = gather(f"the files of {folder}", lambda: _find_faults(folder, record.files))
    return record, tuple(sorted(fault for some in faults for fault in some))


def _record(folder: StrPath) -> tuple[dict[str, Any] | None, str]:
    try:
        return asdict(read_record(folder)), ""
    except MissingFileError:
        return None, f"{RECORD} is missing"
    except FormatError:
        raise
    except (UserError, KeyError, TypeError, AttributeError):
        return None, f"{RECORD} differs from what was written"


def _find_faults(folder: StrPath, files: Files) -> list[str]:
    """Checks this process's share of the files, and describes each damaged one."""
    by_size = sorted(files, key=lambda name: (files[name][0], name))
    names = by_size[jax.process_index() :: jax.process_count()]
    faults, whole = [], []
    for name in names:
        size = files[name][0]
        found = _size(os.path.join(folder, name))
        if found is None:
            faults.append(f"{name} is missing")
        elif found != size:
            faults.append(f"{name}: expected {size:,} bytes, found {found:,}")
        else:
            whole.append(name)
    return faults + _altered(folder, whole, files)


def _size(path: StrPath) -> int | None:
    try:
        return storage.size(path)
    except MissingFileError:
        return None


def _altered(folder: StrPath, names: Sequence[str], files: Files) -> list[str]:
    hashes = sha256_files([os.path.join(folder, name) for name in names])
    return [
        f"{name} differs from what was written"
        for name, sha256 in zip(names, hashes, strict=True)
        if sha256 != files[name][1]
    ]
