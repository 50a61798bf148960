"""Rows: the unit of storage, mixing and accounting. NumPy and the standard library only.

A document is tokenized as [bos] + ids + [eos]. A row holds T + 1 token ids (T = `max_seq_len`):
position i reads tokens[i] and predicts tokens[i + 1]. It is filled by *segments* of documents, one
after the other; padding stands only at its end:

    position        0    1    2    3    4    5    6    7    8        T = 8
    tokens        bos    a    b  eos  bos    c  eos    0    0
    segments        |--- segment 0 ---|  |- segment 1 -|   padding
    targets            a    b  eos         c  eos                    weight 1
    (4 is bos, 7 and 8 are padding: never targets with weight)

The first token of a segment is read and never predicted there: it is bos, or the last token of the
document's previous segment, which was predicted there. So each token of a document
but bos is a target exactly once over the source.

A directory `<data_dir>/rows/<source>/<split>/` holds the rows of one source and split:
`rows-00000-of-0000N.arrayrecord`, `documents.arrayrecord` (provenance), `row_stats.npy` and
`manifest.json`, which is written last.
"""

import dataclasses
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.errors import UserError

FORMAT_VERSION = 1
PAD_ID = 0
SPLITS = ("train", "validation")

_MAGIC = b"ROW"
# magic, version, bytes per token, tokens in the row, tokens in segments, segments; then crc32.
_HEADER = struct.Struct("<3sBBIII")
_CRC = struct.Struct("<I")
_NOT_IN_HASH = {"shards", "settings_hash", "row_stats_sha256", "documents_sha256"}
_SEGMENT_DTYPES = (
    "<u4",
    "<u8",
    "<u4",
    "<u4",
)  # lengths, documents, document_offsets, segment_bytes


@dataclass(frozen=True, eq=False)
class Row:
    """Packed token ids and the S segments in them.

    tokens: [T + 1] int32. segment_starts, segment_lengths: [S] int32, in row positions; segments
    touch, the first starts at 0, what follows the last is padding. documents: [S] int64, record
    number in `documents.arrayrecord`. document_offsets: [S] int64, token offset of the segment in
    its document.
    segment_bytes: [S] int64, UTF-8 bytes that the segment's targets stand for.
    """

    tokens: np.ndarray
    segment_starts: np.ndarray
    segment_lengths: np.ndarray
    documents: np.ndarray
    document_offsets: np.ndarray
    segment_bytes: np.ndarray

    @property
    def num_targets(self) -> int:
        """Target positions with weight 1: every token of a segment but its first."""
        return int(self.segment_lengths.sum()) - len(self.segment_lengths)

    @property
    def num_documents_begun(self) -> int:
        """Documents whose first target stands in this row; each document counts in one row."""
        return int(np.sum((self.document_offsets == 0) & (self.segment_lengths > 1)))


def encode_row(row: Row, vocab_size: int) -> bytes:
    """Returns one record: header, crc32, segment tables, tokens (uint16 if they fit, or uint32).

    Padding and segment starts are implied and not stored. Little-endian throughout.
    """
    num_tokens = int(row.segment_lengths.sum())
    assert num_tokens <= len(row.tokens), "segments longer than the row"
    width = 2 if vocab_size <= 1 << 16 else 4
    header = _HEADER.pack(
        _MAGIC, FORMAT_VERSION, width, len(row.tokens), num_tokens, len(row.segment_lengths)
    )
    columns = (row.segment_lengths, row.documents, row.document_offsets, row.segment_bytes)
    body = (
        b"".join(
            column.astype(dtype).tobytes()
            for column, dtype in zip(columns, _SEGMENT_DTYPES, strict=True)
        )
        + row.tokens[:num_tokens].astype(f"<u{width}").tobytes()
    )
    return header + _CRC.pack(zlib.crc32(body, zlib.crc32(header))) + body


def decode_row(record: bytes) -> Row:
    """The row that `encode_row` wrote.

    Raises:
        ValueError: the record is truncated, altered, or of another format.
    """
    start = _HEADER.size + _CRC.size
    if len(record) < start:
        raise ValueError(f"damaged row record: {len(record)} bytes, a header alone has {start}")
    magic, version, width, row_length, num_tokens, num_segments = _HEADER.unpack_from(record)
    if magic != _MAGIC or version != FORMAT_VERSION:
        raise ValueError(
            f"not a row record of format {FORMAT_VERSION}: it begins with {record[:4].hex()}"
        )
    (crc,) = _CRC.unpack_from(record, _HEADER.size)
    if crc != zlib.crc32(record[start:], zlib.crc32(record[: _HEADER.size])):
        raise ValueError("damaged row record: its crc32 does not match its contents")
    columns = []
    for dtype in _SEGMENT_DTYPES:
        columns.append(np.frombuffer(record, dtype, num_segments, start))
        start += columns[-1].nbytes
    tokens = np.full(row_length, PAD_ID, np.int32)
    tokens[:num_tokens] = np.frombuffer(record, f"<u{width}", num_tokens, start)
    lengths = columns[0].astype(np.int32)
    return Row(
        tokens=tokens,
        segment_starts=(np.cumsum(lengths) - lengths).astype(np.int32),
        segment_lengths=lengths,
        documents=columns[1].astype(np.int64),
        document_offsets=columns[2].astype(np.int64),
        segment_bytes=columns[3].astype(np.int64),
    )


@dataclass(frozen=True)
class Shard:
    """One file of rows. `sha256` is of the file's bytes."""

    name: str
    num_rows: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RowsManifest:
    """`manifest.json` of one source and split: exact counts and the hashes of all it rests on.

    num_bytes: UTF-8 bytes of the documents' text. num_tokens: with bos and eos, each token once.
    num_target_tokens = num_tokens - num_documents. num_padding: positions of the rows that are no
    target with weight, of num_rows × max_seq_len. num_split_documents: documents whose targets
    stand in more than one row. rows_sha256: of the encoded rows in order, whatever the shards.
    """

    source: str
    split: str
    format_version: int
    max_seq_len: int
    packing: str
    vocab_size: int
    num_documents: int
    num_bytes: int
    num_tokens: int
    num_target_tokens: int
    num_rows: int
    num_padding: int
    num_split_documents: int
    rows_sha256: str
    tokenizer_hash: str
    settings_hash: str
    shards: tuple[Shard, ...]
    row_stats_sha256: str
    documents_sha256: str

    @property
    def efficiency(self) -> float:
        """Share of the rows' positions that train the model."""
        return self.num_target_tokens / max(1, self.num_rows * self.max_seq_len)

    @property
    def hash(self) -> str:
        """Hex sha256 of what training sees: name, counts, tokenizer and every encoded row.

        How the rows are cut into files, how those are compressed, and by which settings they came
        about are no part of it: they change no result.
        """
        value = {k: v for k, v in dataclasses.asdict(self).items() if k not in _NOT_IN_HASH}
        return hashlib.sha256(_canonical(value)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RowsManifest":
        """Raises UserError when fields are missing or unknown, or the format is another version."""
        expected = {field.name for field in dataclasses.fields(cls)}
        missing, extra = sorted(expected - set(value)), sorted(set(value) - expected)
        if value.get("format_version") != FORMAT_VERSION or missing or extra:
            raise UserError(
                f"rows manifest: expected format version {FORMAT_VERSION}, got "
                f"{value.get('format_version')}; missing fields {missing}, unknown fields {extra}; "
                "delete the directory and prepare the data again"
            )
        shards = tuple(Shard(**shard) for shard in value["shards"])
        return cls(**{**value, "shards": shards})

    @classmethod
    def load(cls, directory: Path) -> "RowsManifest":
        """Reads `directory/manifest.json`.

        Raises:
            UserError: the rows were never (completely) prepared, or the manifest is damaged.
        """
        path = directory / "manifest.json"
        if not path.exists():
            raise UserError(f"no prepared rows at {directory}: run `codepretrain prepare` first")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"damaged manifest {path}: {error}; delete {directory} and prepare again"
            ) from error
        return cls.from_json(value)

    def check_files(self, directory: Path, *, reads_contents: bool = False) -> None:
        """Checks that every file is there and whole: by size, or by hash of all its bytes.

        Raises:
            UserError: names each file that is missing, of another size, or altered.
        """
        hashes = {shard.name: shard.sha256 for shard in self.shards}
        hashes["documents.arrayrecord"] = self.documents_sha256
        hashes["row_stats.npy"] = self.row_stats_sha256
        sizes = {shard.name: shard.num_bytes for shard in self.shards}
        problems = []
        for name, sha256 in hashes.items():
            path = directory / name
            if not path.exists():
                problems.append(f"{name} is missing")
            elif path.stat().st_size != sizes.get(name, path.stat().st_size):
                problems.append(f"{name} has {path.stat().st_size} bytes, expected {sizes[name]}")
            elif reads_contents and file_sha256(path) != sha256:
                problems.append(f"{name} has changed (sha256 differs)")
        if problems:
            raise UserError(
                f"damaged rows in {directory}: {'; '.join(problems)}; "
                "delete the directory and prepare again"
            )


def rows_directory(data_dir: Path, source: str, split: str) -> Path:
    """Where the rows of one source and split lie under the study's data directory."""
    return data_dir / "rows" / source / split


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
