"""Packs tokenized documents into rows: pure, streaming, in bounded memory.

T = 8, documents of 6, 3 and 13 tokens (a0 is the bos of document a):

    concatenate   a0 a1 a2 a3 a4 a5 b0 b1 b2 | b2 c0 c1 c2 c3 c4 c5 c6 c7 | c7 … c12  0  0  0
    best_fit      c0 c1 c2 c3 c4 c5 c6 c7 c8 | a0 a1 a2 a3 a4 a5 b0 b1 b2 | c8 … c12  0  0  0  0

A document is split over rows only when necessary: at the end of a row (concatenate), or because it
is longer than a row (best_fit). The two parts share a token: the last target of the first part
is the first input of the second, so every token except bos is a target exactly once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from codepretrain.rows.format import PAD_ID, Row

# Segments that wait for a row. More of them fill rows better, but up to this many times T tokens
# are in memory.
WINDOW = 4096

Packer = Callable[[Iterable[np.ndarray], int, np.ndarray], Iterator[Row]]


class _Segment(NamedTuple):
    """tokens: [n] int32. num_bytes: bytes that its targets, tokens[1:], represent."""

    document: int
    offset: int
    tokens: np.ndarray
    num_bytes: int


class _Document:
    """A tokenized document that is divided into segments."""

    def __init__(self, number: int, tokens: np.ndarray, num_bytes: np.ndarray) -> None:
        self.number, self.tokens = number, tokens
        self.bytes_before = np.cumsum(num_bytes[tokens])  # up to and including each token

    def segment(self, start: int, stop: int) -> _Segment:
        stop = min(stop, len(self.tokens))
        num_bytes = int(self.bytes_before[stop - 1] - self.bytes_before[start])
        return _Segment(self.number, start, self.tokens[start:stop], num_bytes)


def concatenate(
    documents: Iterable[np.ndarray], max_seq_len: int, num_bytes: np.ndarray
) -> Iterator[Row]:
    """Yields rows of documents as one stream, cut every T tokens; only the last row is padded.

    documents: token ids [n] int32 with bos and eos. num_bytes: [V], bytes that an id represents.
    """
    segments: list[_Segment] = []
    free = max_seq_len + 1
    for number, tokens in enumerate(documents):
        document, start = _Document(number, tokens, num_bytes), 0
        while start < len(tokens):
            segment = document.segment(start, start + free)
            segments.append(segment)
            free -= len(segment.tokens)
            start += len(segment.tokens)
            if not free:
                yield _row(segments, max_seq_len)
                segments, free = [], max_seq_len + 1
                start -= 1  # the next row begins with this row's last token
    if any(len(segment.tokens) > 1 for segment in segments):
        yield _row(segments, max_seq_len)


def best_fit(
    documents: Iterable[np.ndarray], max_seq_len: int, num_bytes: np.ndarray
) -> Iterator[Row]:
    """Yields rows of whole documents: the longest waiting segment that fits, and again.

    Documents longer than a row are cut into chunks of T + 1; the rest waits like a short document.
    Over the window this is first-fit decreasing, one row at a time.
    """
    capacity = max_seq_len + 1
    waiting = _Waiting(capacity)
    for number, tokens in enumerate(documents):
        document, start = _Document(number, tokens, num_bytes), 0
        while len(tokens) - start >= capacity:
            yield _row([document.segment(start, start + capacity)], max_seq_len)
            start += max_seq_len
        if len(tokens) - start > 1:
            waiting.add(document.segment(start, len(tokens)))
        if len(waiting) >= WINDOW:
            yield _row(waiting.take_row(), max_seq_len)
    while len(waiting):
        yield _row(waiting.take_row(), max_seq_len)


PACKERS: dict[str, Packer] = {"best_fit": best_fit, "concatenate": concatenate}


class _Waiting:
    """Segments by length, first in first out; the bits of `lengths` say which lengths there are."""

    def __init__(self, capacity: int) -> None:
        self.by_length: list[deque[_Segment]] = [deque() for _ in range(capacity + 1)]
        self.lengths = 0
        self.num_segments = 0

    def __len__(self) -> int:
        return self.num_segments

    def add(self, segment: _Segment) -> None:
        self.by_length[len(segment.tokens)].append(segment)
        self.lengths |= 1 << len(segment.tokens)
        self.num_segments += 1

    def take_row(self) -> list[_Segment]:
        free = len(self.by_length) - 1
        segments = []
        while fitting := self.lengths & ((2 << free) - 1):
            length = fitting.bit_length() - 1
            segments.append(self.by_length[length].popleft())
            if not self.by_length[length]:
                self.lengths ^= 1 << length
            free -= length
        self.num_segments -= len(segments)
        return segments


def _row(segments: list[_Segment], max_seq_len: int) -> Row:
    lengths = np.array([len(segment.tokens) for segment in segments], np.int32)
    tokens = np.full(max_seq_len + 1, PAD_ID, np.int32)
    tokens[: lengths.sum()] = np.concatenate([segment.tokens for segment in segments])
    return Row(
        tokens=tokens,
        segment_starts=(np.cumsum(lengths) - lengths).astype(np.int32),
        segment_lengths=lengths,
        documents=np.array([segment.document for segment in segments], np.int64),
        document_offsets=np.array([segment.offset for segment in segments], np.int64),
        segment_bytes=np.array([segment.num_bytes for segment in segments], np.int64),
    )
