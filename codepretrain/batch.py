"""Batch: what one training step sees of its rows.

    tokens        b  x  y  e │ b  z  e │ 0  0       one row: two pieces, then padding
    inputs        b  x  y  e   b  z  e   0
    targets       x  y  e  b   z  e  0   0
    loss_weights  1  1  1  0   1  1  0   0          1 where the target continues the input's piece
    positions     0  1  2  3   0  1  2   0          (masks_documents=False: 0 1 2 3 4 5 6 0)
    segment_ids   1  1  1  1   2  2  2   0          (masks_documents=False: 1 1 1 1 1 1 1 0)

So a `bos` is never a target with weight, and padding is neither trained on nor attended to.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from codepretrain.row import Row


class Batch(NamedTuple):
    """Rows as arrays [B, T]: numpy on the host, jax arrays inside the step."""

    inputs: np.ndarray  # int32
    targets: np.ndarray  # int32
    loss_weights: np.ndarray  # float32, 0 or 1
    positions: np.ndarray  # int32, for the rotary embedding
    segment_ids: np.ndarray  # int32; attention stays inside one id; 0 is padding


def batch_from_rows(rows: Sequence[Row], *, masks_documents: bool) -> Batch:
    """Returns the rows as a Batch, in order.

    `masks_documents=False` lets every token attend to all tokens before it in the row and counts
    positions through the row; which targets have weight does not change.
    """
    assert rows, "a batch has at least one row"
    tokens = np.stack([row.tokens for row in rows]).astype(np.int32)
    pieces = np.zeros(tokens.shape, np.int32)
    offsets = np.zeros(tokens.shape, np.int32)
    for index, row in enumerate(rows):
        lengths = np.asarray(row.piece_lengths)
        filled = int(lengths.sum())
        pieces[index, :filled] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
        offsets[index, :filled] = np.arange(filled) - np.repeat(row.piece_starts, lengths)
    same_piece = (pieces[:, :-1] == pieces[:, 1:]) & (pieces[:, :-1] > 0)
    inputs_pieces = pieces[:, :-1]
    positions, segment_ids = offsets[:, :-1], inputs_pieces
    if not masks_documents:
        segment_ids = (inputs_pieces > 0).astype(np.int32)
        positions = np.arange(tokens.shape[1] - 1, dtype=np.int32) * segment_ids
    return Batch(
        inputs=np.ascontiguousarray(tokens[:, :-1]),
        targets=np.ascontiguousarray(tokens[:, 1:]),
        loss_weights=same_piece.astype(np.float32),
        positions=np.ascontiguousarray(positions),
        segment_ids=np.ascontiguousarray(segment_ids),
    )
