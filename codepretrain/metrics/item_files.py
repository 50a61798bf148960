"""The files of a result's item scores, and whether they are still those that were written.

    <folder>/items/<evaluator>-<step>-<digest>.npz     the scores (`evals/item_scores.py`)
    <folder>/items/<evaluator>-<step>-<digest>.jsonl   the items and the answers, for a reader

The record in `evals.jsonl` has the size and the hash of both, under "items": {".npz": {"bytes": …,
"sha256": …}, ".jsonl": …}. Records of older versions lack them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from codepretrain.files import storage
from codepretrain.files.explain import shown
from codepretrain.files.hashing import sha256_bytes

SCORES, RECORDS = ".npz", ".jsonl"
_FOLDER = "items"
_SHORT = 12  # digits of a digest in a file's name

SizeOf = Callable[[str], int | None]  # the size of a file in `items/` by its name, None without one
Marks = Mapping[str, Mapping[str, Any]]  # suffix → size and hash


def item_file(
    folder: storage.StrPath, evaluator: str, step: int, digest: str, suffix: str = SCORES
) -> epath.Path:
    """Returns where a run keeps the item scores of one evaluation."""
    name = f"{evaluator}-{step:08d}-{digest[:_SHORT]}{suffix}"
    return epath.Path(folder) / _FOLDER / name


def marks_of(contents: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Returns the size and the hash of each content, as a record has them."""
    return {
        suffix: {"bytes": len(content), "sha256": sha256_bytes(content)}
        for suffix, content in contents.items()
    }


def files_of(folder: storage.StrPath, record: Mapping[str, Any]) -> dict[str, epath.Path]:
    """Returns the files of a record in `evals.jsonl`, by suffix."""
    key = record["evaluator"], record["step"], record["digest"]
    return {suffix: item_file(folder, *key, suffix) for suffix in (SCORES, RECORDS)}


def sizes_in(folder: storage.StrPath) -> SizeOf:
    """Returns the sizes of all item files in a run's folder, from one listing."""
    return storage.sizes_below(epath.Path(folder) / _FOLDER).get


def lost_files(
    folder: storage.StrPath, record: Mapping[str, Any], size_of: SizeOf | None = None
) -> str:
    """Returns which file of a result is missing or has another size, "" if none; reads no content.

    Args:
      size_of: see `sizes_in`; None looks up both files.
    """
    marks: Marks = record.get("items") or {}
    for suffix, path in files_of(folder, record).items():
        found = _size(path) if size_of is None else size_of(path.name)
        if found is None:
            return f"{shown(path)} is missing"
        if suffix in marks and found != marks[suffix]["bytes"]:
            expected = marks[suffix]["bytes"]
            return f"{shown(path)} is damaged: expected {expected:,} bytes, found {found:,}"
        if not found and suffix == SCORES:
            return f"{shown(path)} is damaged: it is empty"
    return ""


def altered(path: epath.Path, content: bytes, marks: Marks) -> str:
    """Returns how the content of an item file differs from what was written, "" if it does not.

    That of a record without marks cannot be compared.
    """
    mark = marks.get(path.suffix)
    if mark is None:
        return ""
    if len(content) != mark["bytes"]:
        return f"{shown(path)} is damaged: expected {mark['bytes']:,} bytes, found {len(content):,}"
    if sha256_bytes(content) != mark["sha256"]:
        return f"{shown(path)} was altered: its hash is not that of the record"
    return ""


def _size(path: epath.Path) -> int | None:
    try:
        return storage.size(path)
    except storage.MissingFileError:
        return None
