"""Item scores, from which the metrics of an evaluation are computed.

Two variants answer the same items, so they are compared item by item. To this end a run keeps
`<run>/items/<evaluator>-<step>-<digest>.npz`: the id of each of N items, the cluster that it is
sampled with, the digest of the evaluation's identity, and for each metric an array [N] float64.
Where a metric is a ratio of sums Σ values / Σ weights, `<metric>/weight` has the weights; for an
average over groups of items, `<metric>/stratum` has the group of each item. Where an evaluator's
metrics are of different items, each array is NaN for the items that the metric is not of.
The file of the same name that ends in .jsonl lists the items and the model's answers in readable
form. The digest in a name is cut to its first digits, so results of other items or settings, such
as those of another study that shares the run, are kept side by side.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from etils import epath

from codepretrain.files import json_values
from codepretrain.files.atomic import write_bytes
from codepretrain.files.explain import shown
from codepretrain.files.storage import MissingFileError, StrPath, read_bytes
from codepretrain.metrics.item_files import (
    RECORDS,
    SCORES,
    Marks,
    altered,
    files_of,
    item_file,
    lost_files,
    marks_of,
)

_SCORE = "score/"  # before a metric's name in the .npz file


@dataclass(frozen=True)
class ItemScores:
    """The scores of N items.

    Attributes:
      ids: a unique text for each item; `<task>/<id>` where an evaluator has several tasks.
      scores: the arrays [N] above, by metric.
      records: one object per item, for a reader.
      clusters: the cluster of each item: the document or passage that it was made from, which is
        the independently sampled unit.
    """

    ids: Sequence[str]
    scores: Mapping[str, np.ndarray]
    records: Sequence[Mapping[str, Any]]
    clusters: Sequence[str]

    def __post_init__(self) -> None:
        assert len(set(self.ids)) == len(self.ids), "the ids of items are unique"
        assert len(self.clusters) == len(self.ids), (len(self.clusters), len(self.ids))
        shapes = {name: np.shape(values) for name, values in self.scores.items()}
        assert set(shapes.values()) <= {(len(self.ids),)}, (len(self.ids), shapes)


def encode_scores(items: ItemScores, digest: str) -> bytes:
    """Returns the scores as the bytes of an .npz file."""
    arrays: dict[str, Any] = {
        f"{_SCORE}{name}": np.float64(values) for name, values in items.scores.items()
    }
    texts = {"ids": list(items.ids), "clusters": list(items.clusters), "digest": digest}
    arrays["texts"] = np.frombuffer(json_values.encode(texts).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_item_scores(
    run_dir: StrPath, evaluator: str, step: int, digest: str, items: ItemScores
) -> dict[str, dict[str, Any]]:
    """Writes both files, each whole or not at all; files of an earlier attempt are replaced.

    Returns their sizes and hashes, for the record of the evaluation.
    """
    lines = "".join(json_values.encode(record) + "\n" for record in items.records)
    contents = {RECORDS: lines.encode(), SCORES: encode_scores(items, digest)}
    for suffix, content in contents.items():
        write_bytes(item_file(run_dir, evaluator, step, digest, suffix), content)
    return marks_of(contents)


def read_item_scores(
    run_dir: StrPath, evaluator: str, step: int, digest: str, *, marks: Marks = MappingProxyType({})
) -> ItemScores | None:
    """Returns the scores of an evaluation without its records, None if there is no file.

    Args:
      marks: what the record of the evaluation says of the file (`metrics/item_files.py`).

    Raises:
      ValueError: the file is damaged, or of another evaluation.
    """
    path = item_file(run_dir, evaluator, step, digest)
    try:
        content = read_bytes(path)
    except MissingFileError:
        return None
    return _items_in(content, path, digest, marks)


def item_damage(run_dir: StrPath, record: Mapping[str, Any]) -> str:
    """Returns what is wrong with the item files of a record in `evals.jsonl`, "" if nothing is.

    Reads both files. Without their hashes, in records of older versions, it decodes the scores,
    whose archive has checksums, and counts the readable lines.
    """
    if lost := lost_files(run_dir, record):
        return lost
    marks: Marks = record.get("items") or {}
    files = files_of(run_dir, record)
    lines = read_bytes(files[RECORDS])
    if damage := altered(files[RECORDS], lines, marks):
        return damage
    try:
        items = _items_in(read_bytes(files[SCORES]), files[SCORES], record["digest"], marks)
    except ValueError as error:
        return str(error)
    return "" if marks else _damage_of_lines(files[RECORDS], lines, len(items.ids))


def _damage_of_lines(path: epath.Path, content: bytes, num_items: int) -> str:
    try:
        *lines, torn = content.decode().split("\n")
        for line in lines:
            json_values.decode(line)
    except ValueError as error:
        return f"{shown(path)} is damaged: {error}"
    if torn or len(lines) != num_items:
        return f"{shown(path)} is damaged: expected {num_items:,} lines, found {len(lines):,}"
    return ""


def _items_in(content: bytes, path: epath.Path, digest: str, marks: Marks) -> ItemScores:
    """Returns the scores in the bytes of a file. Raises ValueError as `read_item_scores`."""
    if damage := altered(path, content, marks):
        raise ValueError(damage)
    try:
        items, found = _decode(content)
    except Exception as error:  # zipfile, zlib, json and numpy each have their own for damage
        raise ValueError(f"{shown(path)} is damaged: {error}") from error
    if found != digest:
        raise ValueError(
            f"{shown(path)} is of another evaluation: expected {digest}, found {found}"
        )
    return items


def _decode(content: bytes) -> tuple[ItemScores, str]:
    """Returns the scores and the digest of an .npz file."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        texts = json_values.decode(file["texts"].tobytes().decode())
        scores = {
            name.removeprefix(_SCORE): file[name].astype(np.float64)
            for name in file.files
            if name.startswith(_SCORE)
        }
    return ItemScores(texts["ids"], scores, (), texts["clusters"]), texts["digest"]
