"""Batch: the rows of one training step as arrays.

    tokens        b  x  y  e │ b  z  e │ 0  0       one row: two segments, then padding
    inputs        b  x  y  e   b  z  e   0
    targets       x  y  e  b   z  e  0   0
    loss_weights  1  1  1  0   1  1  0   0          1 where the target continues the input's segment
    positions     0  1  2  3   0  1  2   0          (mask_documents=False: 0 1 2 3 4 5 6 0)
    segment_ids   1  1  1  1   2  2  2   0          (mask_documents=False: 1 1 1 1 1 1 1 0)

So `bos` never has weight as a target, and padding is not trained on or attended to.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from codepretrain.rows.format import Row

ArrayType = TypeVar("ArrayType")


class Batch(NamedTuple, Generic[ArrayType]):
    """Rows as arrays [B, T]: numpy arrays on the host, JAX arrays inside the step."""

    inputs: ArrayType  # int32
    targets: ArrayType  # int32
    loss_weights: ArrayType  # float32, 0 or 1
    positions: ArrayType  # int32, for the rotary embedding
    segment_ids: ArrayType  # int32; attention stays inside one id; 0 is padding


def batch_from_rows(rows: Sequence[Row], *, mask_documents: bool) -> Batch[np.ndarray]:
    """Returns the rows as a Batch, in order.

    `mask_documents=False` lets every token attend to all tokens before it in the row and counts
    positions through the row; which targets have weight does not change.
    """
    assert rows, "a batch has at least one row"
    tokens = np.stack([row.tokens for row in rows]).astype(np.int32)
    segments = np.zeros(tokens.shape, np.int32)
    offsets = np.zeros(tokens.shape, np.int32)
    for index, row in enumerate(rows):
        lengths = np.asarray(row.segment_lengths)
        filled = int(lengths.sum())
        segments[index, :filled] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
        offsets[index, :filled] = np.arange(filled) - np.repeat(row.segment_starts, lengths)
    same_segment = (segments[:, :-1] == segments[:, 1:]) & (segments[:, :-1] > 0)
    inputs_segments = segments[:, :-1]
    positions, segment_ids = offsets[:, :-1], inputs_segments
    if not mask_documents:
        segment_ids = (inputs_segments > 0).astype(np.int32)
        positions = np.arange(tokens.shape[1] - 1, dtype=np.int32) * segment_ids
    return Batch(
        inputs=np.ascontiguousarray(tokens[:, :-1]),
        targets=np.ascontiguousarray(tokens[:, 1:]),
        loss_weights=same_segment.astype(np.float32),
        positions=np.ascontiguousarray(positions),
        segment_ids=np.ascontiguousarray(segment_ids),
    )
