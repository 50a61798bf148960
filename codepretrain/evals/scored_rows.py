"""Rows in which the counted targets of sampled documents are scored.

In training a token attends to its own segment only (`training.mask_documents`), so a segment scores
the same in any row: the sampled segments, cut after their last counted target, are packed into rows
of their own. Without masks the loss depends on what precedes a segment, and the rows are those that
training would read.
"""

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from codepretrain.evals.document_sample import DocumentSample
from codepretrain.rows.format import PAD_ID, Row

ReadRow = Callable[[str, int], Row]


class ScoredRow(NamedTuple):
    """A row, and its counted targets: [S, 3] int64 of document, first target, end of the targets.

    Target i is the row's token i + 1.
    """

    row: Row
    spans: np.ndarray


@dataclass(frozen=True)
class Piece:
    """A segment of a row of a source, with the targets that count: (document, start, stop) each."""

    source: str
    row: int
    index: int
    spans: tuple[tuple[int, int, int], ...]

    @property
    def length(self) -> int:
        """Tokens of the segment up to its last counted target."""
        return max(stop for _, _, stop in self.spans) + 1


def pieces_of(samples: Mapping[str, DocumentSample]) -> list[Piece]:
    """Returns the sampled segments; documents are numbered over all sources, in order."""
    found: dict[tuple[str, int, int], list[tuple[int, int, int]]] = {}
    first = 0
    for source, sample in samples.items():
        for span in sample.spans:
            place = source, span.row, span.index
            found.setdefault(place, []).append((first + span.document, span.start, span.stop))
        first += len(sample)
    return [Piece(*place, tuple(spans)) for place, spans in found.items()]


class PackedRows:
    """Rows of sampled segments only, for a model that masks documents."""

    def __init__(self, pieces: Sequence[Piece], read_row: ReadRow, *, max_seq_len: int) -> None:
        """read_row: returns row i of a source."""
        self._read_row = read_row
        self._row_length = max_seq_len + 1
        self._rows = _packed(pieces, self._row_length)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> ScoredRow:
        pieces = self._rows[number]
        lengths = np.array([piece.length for piece in pieces], np.int32)
        starts = (np.cumsum(lengths) - lengths).astype(np.int32)
        tokens = np.full(self._row_length, PAD_ID, np.int32)
        offsets = np.zeros(len(pieces), np.int64)
        spans = []
        for i, (piece, start) in enumerate(zip(pieces, starts.tolist(), strict=True)):
            stored = self._read_row(piece.source, piece.row)
            begin = int(stored.segment_starts[piece.index])
            assert piece.length <= stored.segment_lengths[piece.index], piece
            tokens[start : start + piece.length] = stored.tokens[begin : begin + piece.length]
            offsets[i] = stored.document_offsets[piece.index]
            spans += [(document, start + a, start + b) for document, a, b in piece.spans]
        row = Row(
            tokens=tokens,
            segment_starts=starts,
            segment_lengths=lengths,
            documents=np.array([piece.spans[0][0] for piece in pieces], np.int64),
            document_offsets=offsets,
            segment_bytes=np.zeros(len(pieces), np.int64),  # counted by target, not by segment
        )
        return ScoredRow(row, np.array(spans, np.int64))


class StoredRows:
    """The rows that hold sampled segments, as training reads them."""

    def __init__(self, pieces: Sequence[Piece], read_row: ReadRow) -> None:
        self._read_row = read_row
        self._pieces: dict[tuple[str, int], list[Piece]] = {}
        for piece in pieces:
            self._pieces.setdefault((piece.source, piece.row), []).append(piece)
        self._places = list(self._pieces)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> ScoredRow:
        place = self._places[number]
        row = self._read_row(*place)
        spans = [
            (document, int(row.segment_starts[piece.index]) + a, b - a)
            for piece in self._pieces[place]
            for document, a, b in piece.spans
        ]
        return ScoredRow(row, np.array([(d, a, a + count) for d, a, count in spans], np.int64))


def _packed(pieces: Sequence[Piece], row_length: int) -> list[list[Piece]]:
    """Returns rows: the longest piece first, each into the fullest row that has room for it."""
    rows: list[list[Piece]] = []
    free: list[tuple[int, int]] = []  # (free tokens, row), sorted
    for piece in sorted(pieces, key=lambda piece: -piece.length):
        place = bisect.bisect_left(free, (piece.length, -1))
        if place < len(free):
            left, number = free.pop(place)
        else:
            left, number = row_length, len(rows)
            rows.append([])
        rows[number].append(piece)
        bisect.insort(free, (left - piece.length, number))
    return rows
