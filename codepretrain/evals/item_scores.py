"""Item scores, from which the metrics of an evaluation are computed.

Two variants answer the same items, so they are compared item by item. To this end a run keeps
`<run>/items/<evaluator>-<step>.npz`: for each metric that is computed from items, an array [N]
float64 under the metric's name; where the metric is a ratio of sums Σ values / Σ weights, the
weights under `<metric>/weight`; and for an average over groups of items, the group of each item
under `<metric>/stratum`. `<evaluator>-<step>.jsonl` next to it lists the items and the model's
answers in readable form. The items and their order are the same at every step and in every run of a
study.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from codepretrain.files import json_values
from codepretrain.files.atomic import write_bytes, write_text
from codepretrain.files.storage import MissingFileError, StrPath, read_bytes


@dataclass(frozen=True)
class ItemScores:
    """scores: the arrays [N] above. records: one object per item, for a reader."""

    scores: Mapping[str, np.ndarray]
    records: Sequence[Mapping[str, Any]]


def item_scores_path(run_dir: StrPath, evaluator: str, step: int) -> epath.Path:
    """Returns where a run keeps the scores of one evaluation; its records end in .jsonl instead."""
    return epath.Path(run_dir) / "items" / f"{evaluator}-{step:08d}.npz"


def encode_scores(scores: Mapping[str, np.ndarray]) -> bytes:
    """Returns the scores as the bytes of an .npz file."""
    assert all(np.ndim(values) == 1 for values in scores.values()), scores
    arrays: dict[str, Any] = {name: np.float64(values) for name, values in scores.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_item_scores(run_dir: StrPath, evaluator: str, step: int, items: ItemScores) -> None:
    """Writes both files, each whole or not at all; files of an earlier attempt are replaced."""
    path = item_scores_path(run_dir, evaluator, step)
    lines = "".join(json_values.encode(record) + "\n" for record in items.records)
    write_text(path.with_suffix(".jsonl"), lines)
    write_bytes(path, encode_scores(items.scores))


def read_item_scores(run_dir: StrPath, evaluator: str, step: int) -> dict[str, np.ndarray] | None:
    """Returns the arrays of an evaluation by name, None if they were not kept.

    Raises:
      ValueError: the file is damaged.
    """
    path = item_scores_path(run_dir, evaluator, step)
    try:
        content = read_bytes(path)
    except MissingFileError:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name].astype(np.float64) for name in file.files}
    except Exception as error:  # zipfile, zlib and numpy each have their own for damage
        raise ValueError(f"{path} is damaged: {error}") from error
