"""Rows: the unit of storage, mixing and accounting. NumPy and the standard library only.

A document is tokenized as [bos] + ids + [eos]. A row holds T + 1 token ids (T = `max_seq_len`):
position i reads tokens[i] and predicts tokens[i + 1]. It is filled with *segments* of documents;
padding occurs only at its end:

    position        0    1    2    3    4    5    6    7    8        T = 8
    tokens        bos    a    b  eos  bos    c  eos    0    0
    segments        |--- segment 0 ---|  |- segment 1 -|   padding
    targets            a    b  eos         c  eos                    weight 1
    (bos at 4 and the padding at 7 and 8 are never targets with weight)

The first token of a segment is an input and never a target of it: it is bos, or the last token of
the document's previous segment, which was a target there. So every token of a document except bos
is a target exactly once over the source.

A record is one encoded row, little-endian:

    header      magic "ROW", format version, bytes per token (W), T + 1, n tokens, S segments
    segments    lengths [S] uint32, documents [S] uint64, document offsets [S] uint32,
                bytes [S] uint32
    tokens      [n] unsigned integers of W bytes; the padding is not stored

A record's document numbers count from the first document of its part (`rows/part.py`), so a part
is the same whatever precedes it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FORMAT_VERSION = 3
PAD_ID = 0
SPLITS = ("train", "validation")

_MAGIC = b"ROW"
_HEADER = struct.Struct("<3sBBIII")
# Of a segment: length, document, document offset, bytes.
_SEGMENT_DTYPES = ("<u4", "<u8", "<u4", "<u4")


@dataclass(frozen=True, eq=False)
class Row:
    """Packed token ids and the S segments in them.

    tokens: [T + 1] int32. segment_starts, segment_lengths: [S] int32, positions in the row;
    segments are contiguous, the first starts at 0, and padding follows the last.
    documents: [S] int64, the document's number within its source and split.
    document_offsets: [S] int64, the token of the document at which the segment starts.
    segment_bytes: [S] int64, UTF-8 bytes that the segment's targets represent.
    """

    tokens: np.ndarray
    segment_starts: np.ndarray
    segment_lengths: np.ndarray
    documents: np.ndarray
    document_offsets: np.ndarray
    segment_bytes: np.ndarray

    @property
    def num_targets(self) -> int:
        """Number of targets with weight 1: every token of a segment except its first."""
        return int(self.segment_lengths.sum()) - len(self.segment_lengths)

    @property
    def num_documents_begun(self) -> int:
        """Number of documents whose first target is in this row; each counts in one row only."""
        return int(np.sum((self.document_offsets == 0) & (self.segment_lengths > 1)))


class Segment(NamedTuple):
    """A part of a document that becomes part of a row.

    length: tokens. num_bytes: UTF-8 bytes that its targets represent. ends_document: its last token
    is the document's. tokens: as `encode_tokens` returns them.
    """

    document: int
    offset: int
    length: int
    num_bytes: int
    ends_document: bool
    tokens: bytes


def token_width(vocab_size: int) -> int:
    """Returns the bytes per token in a record: 2, 3 or 4."""
    return 2 if vocab_size <= 1 << 16 else 3 if vocab_size <= 1 << 24 else 4


def encode_tokens(tokens: np.ndarray, width: int) -> bytes:
    """Returns token ids [n] as unsigned integers of `width` bytes."""
    if width == 2:
        return tokens.astype("<u2").tobytes()
    words = tokens.astype("<u4").view(np.uint8).reshape(-1, 4)
    return words[:, :width].tobytes()


def encode_segments(segments: Sequence[Segment], row_length: int, width: int) -> bytes:
    """Returns the record of a row that consists of these segments."""
    documents, offsets, lengths, num_bytes, _, tokens = zip(*segments, strict=True)
    num_tokens, n = sum(lengths), len(segments)
    assert num_tokens <= row_length, "the segments are longer than the row"
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, width, row_length, num_tokens, n)
    columns = struct.pack(f"<{n}I{n}Q{n}I{n}I", *lengths, *documents, *offsets, *num_bytes)
    return b"".join((header, columns, *tokens))


def encode_row(row: Row, vocab_size: int) -> bytes:
    """Returns the record of a row."""
    width = token_width(vocab_size)
    segments = [
        Segment(
            document=int(row.documents[i]),
            offset=int(row.document_offsets[i]),
            length=length,
            num_bytes=int(row.segment_bytes[i]),
            ends_document=False,  # not in the record
            tokens=encode_tokens(row.tokens[start : start + length], width),
        )
        for i, (start, length) in enumerate(
            zip(row.segment_starts.tolist(), row.segment_lengths.tolist(), strict=True)
        )
    ]
    return encode_segments(segments, len(row.tokens), width)


def decode_row(record: bytes, *, first_document: int = 0) -> Row:
    """Returns the row of a record; the inverse of `encode_row`.

    Args:
      first_document: is added to the document numbers.

    Raises:
      ValueError: the record is of another format, or of another length than its header says.
    """
    if len(record) < _HEADER.size:
        raise ValueError(f"not a row: {len(record)} bytes, the header alone has {_HEADER.size}")
    magic, version, width, row_length, num_tokens, num_segments = _HEADER.unpack_from(record)
    if magic != _MAGIC or version != FORMAT_VERSION or width not in (2, 3, 4):
        raise ValueError(f"not a row of format {FORMAT_VERSION}: it begins {record[:5].hex()}")
    segment_size = sum(np.dtype(dtype).itemsize for dtype in _SEGMENT_DTYPES)
    expected = _HEADER.size + num_segments * segment_size + num_tokens * width
    if len(record) != expected or num_tokens > row_length:
        raise ValueError(f"not a row: {len(record)} bytes, expected {expected} by its header")
    start = _HEADER.size
    columns = []
    for dtype in _SEGMENT_DTYPES:
        columns.append(np.frombuffer(record, dtype, num_segments, start))
        start += columns[-1].nbytes
    words = np.zeros((num_tokens, 4), np.uint8)
    words[:, :width] = np.frombuffer(record, np.uint8, offset=start).reshape(num_tokens, width)
    tokens = np.full(row_length, PAD_ID, np.int32)
    tokens[:num_tokens] = words.view("<u4")[:, 0]
    lengths = columns[0].astype(np.int32)
    return Row(
        tokens=tokens,
        segment_starts=(np.cumsum(lengths) - lengths).astype(np.int32),
        segment_lengths=lengths,
        documents=columns[1].astype(np.int64) + first_document,
        document_offsets=columns[2].astype(np.int64),
        segment_bytes=columns[3].astype(np.int64),
    )
