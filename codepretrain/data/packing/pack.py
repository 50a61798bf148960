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

from codepretrain.rows.format import Segment

# Segments that wait for a row. More of them fill rows better, but up to this many times T tokens
# are in memory.
WINDOW = 4096


class Tokenized(NamedTuple):
    """A document of n tokens, bos and eos included.

    tokens: as `encode_tokens` returns them. bytes_through: [n] int64, of each token the UTF-8 bytes
    that it and the tokens before it represent; the count may begin before the document, because
    only differences matter.
    """

    tokens: memoryview
    bytes_through: np.ndarray


Packer = Callable[[Iterable[Tokenized], int], Iterator[list[Segment]]]


def concatenate(documents: Iterable[Tokenized], max_seq_len: int) -> Iterator[list[Segment]]:
    """Yields rows of documents as one stream, cut every T tokens; only the last row is padded."""
    segments: list[Segment] = []
    free = max_seq_len + 1
    for number, document in enumerate(documents):
        start, end = 0, len(document.bytes_through)
        while start < end:
            segment = _segment(number, document, start, min(start + free, end))
            segments.append(segment)
            free -= segment.length
            start += segment.length
            if not free:
                yield segments
                segments, free = [], max_seq_len + 1
                start -= 1  # the next row begins with this row's last token
    if any(segment.length > 1 for segment in segments):
        yield segments


def best_fit(documents: Iterable[Tokenized], max_seq_len: int) -> Iterator[list[Segment]]:
    """Yields rows of whole documents: the longest waiting segment that fits, and again.

    Documents longer than a row are cut into chunks of T + 1; the rest waits like a short document.
    Over the window this is first-fit decreasing, one row at a time.
    """
    capacity = max_seq_len + 1
    waiting = _Waiting(capacity)
    for number, document in enumerate(documents):
        start, end = 0, len(document.bytes_through)
        while end - start >= capacity:
            yield [_segment(number, document, start, start + capacity)]
            start += max_seq_len
        if end - start > 1:
            waiting.add(_segment(number, document, start, end))
        if len(waiting) >= WINDOW:
            yield waiting.take_row()
    while len(waiting):
        yield waiting.take_row()


PACKERS: dict[str, Packer] = {"best_fit": best_fit, "concatenate": concatenate}


class _Waiting:
    """Segments by length, first in first out; the bits of `lengths` say which lengths there are."""

    def __init__(self, capacity: int) -> None:
        self.by_length: list[deque[Segment]] = [deque() for _ in range(capacity + 1)]
        self.lengths = 0
        self.num_segments = 0

    def __len__(self) -> int:
        return self.num_segments

    def add(self, segment: Segment) -> None:
        self.by_length[segment.length].append(segment)
        self.lengths |= 1 << segment.length
        self.num_segments += 1

    def take_row(self) -> list[Segment]:
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


def _segment(number: int, document: Tokenized, start: int, stop: int) -> Segment:
    """Returns tokens [start, stop) of a document; its targets are those after `start`.

    They are copied, so that a segment that waits does not keep its document in memory.
    """
    tokens, bytes_through = document
    width = len(tokens) // len(bytes_through)
    return Segment(
        document=number,
        offset=start,
        length=stop - start,
        num_bytes=int(bytes_through[stop - 1] - bytes_through[start]),
        ends_document=stop == len(bytes_through),
        tokens=bytes(tokens[start * width : stop * width]),
    )
