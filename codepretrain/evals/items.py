"""What an evaluation gives: metrics, and the scores item by item that they are made of.

Two variants answer the same items, so they are compared item by item. For that a run keeps
`<run>/items/<evaluator>-<step>.npz`: for each metric that is made of items, an array [N] float64
under the metric's name, and where the metric is a ratio of sums Σ values / Σ weights, the weights
under `<metric>/weight`. `<evaluator>-<step>.jsonl` beside it tells a reader what the items were and
what the model made of them. The items and their order are the same at every step and in every run
of a study.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.evals.metric import Metric
from codepretrain.files import jsonl


@dataclass(frozen=True)
class Items:
    """scores: the arrays [N] above. records: one object per item, for reading."""

    scores: Mapping[str, np.ndarray]
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class EvalResult:
    """seconds: wall time of the evaluation, a compilation at its first run included."""

    metrics: Mapping[str, Metric]
    items: Items
    seconds: float = 0.0


def items_path(run_dir: Path, evaluator: str, step: int) -> Path:
    """Where a run keeps the scores of one evaluation; its records lie beside it as .jsonl."""
    return run_dir / "items" / f"{evaluator}-{step:08d}.npz"


def encode_scores(scores: Mapping[str, np.ndarray]) -> bytes:
    """Returns the scores as the bytes of an .npz file."""
    assert all(np.ndim(values) == 1 for values in scores.values()), scores
    arrays: dict[str, Any] = {name: np.float64(values) for name, values in scores.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_items(run_dir: Path, evaluator: str, step: int, items: Items) -> None:
    """Writes both files, each whole or not at all; those of an earlier attempt are replaced."""
    path = items_path(run_dir, evaluator, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(jsonl.encode(record) + "\n" for record in items.records)
    jsonl.write_atomically(path.with_suffix(".jsonl"), lines)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(encode_scores(items.scores))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
