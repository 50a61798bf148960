"""Writes the rows of a source and split: shards, provenance, statistics, and last the manifest."""

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from codepretrain.config.schema import DataConfig
from codepretrain.data.atomic import atomic_directory
from codepretrain.data.pack import PACKERS
from codepretrain.errors import UserError
from codepretrain.rows.format import (
    FORMAT_VERSION,
    Row,
    RowsManifest,
    Shard,
    encode_row,
    file_sha256,
)

ROW_OPTIONS = "group_size:1,zstd:3"
DOCUMENT_OPTIONS = "group_size:64,zstd:3"


@dataclass(frozen=True, kw_only=True)
class TokenizedDocument:
    """A document's provenance and its token ids, bos and eos included: [n] int32."""

    provenance: dict[str, Any]
    tokens: np.ndarray


def write_rows(
    directory: Path,
    documents: Iterable[TokenizedDocument],
    *,
    source: str,
    split: str,
    config: DataConfig,
    num_bytes: np.ndarray,
    tokenizer_hash: str,
    settings_hash: str,
) -> RowsManifest:
    """Packs the documents into `directory`, which appears when all is written and not before.

    num_bytes: [V] int32, bytes of text that each id stands for. `rows_per_shard` rows go to a file.

    Raises:
        UserError: the tokenizer does not give a document's text back, or the disk is full.
    """
    with atomic_directory(directory) as partial:
        read = _DocumentsWriter(partial / "documents.arrayrecord", num_bytes)
        packer = PACKERS[config.packing]
        written = _RowsWriter(partial, len(num_bytes), config.rows_per_shard)
        for row in packer(read.record(documents), config.max_seq_len, num_bytes):
            written.add(row, read.lengths)
        read.writer.close()
        shards = written.close()
        num_tokens, num_documents = sum(read.lengths), len(read.lengths)
        num_targets = num_tokens - num_documents
        assert sum(written.stats[2::3]) == num_targets, "a target lost or doubled"
        assert sum(written.stats[1::3]) == read.num_bytes, "bytes lost or doubled"
        manifest = RowsManifest(
            source=source,
            split=split,
            format_version=FORMAT_VERSION,
            max_seq_len=config.max_seq_len,
            packing=config.packing,
            vocab_size=len(num_bytes),
            num_documents=num_documents,
            num_bytes=read.num_bytes,
            num_tokens=num_tokens,
            num_target_tokens=num_targets,
            num_rows=written.num_rows,
            num_padding=written.num_rows * config.max_seq_len - num_targets,
            num_split_documents=written.num_split_documents,
            rows_sha256=written.digest.hexdigest(),
            tokenizer_hash=tokenizer_hash,
            settings_hash=settings_hash,
            shards=shards,
            row_stats_sha256=file_sha256(partial / "row_stats.npy"),
            documents_sha256=file_sha256(partial / "documents.arrayrecord"),
        )
        text = json.dumps(manifest.to_json(), indent=1)
        (partial / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def verify(directory: Path) -> RowsManifest:
    """The manifest, after reading every byte of every file.

    Raises:
        UserError: names each file that is missing, truncated or altered.
    """
    manifest = RowsManifest.load(directory)
    manifest.check_files(directory, reads_contents=True)
    return manifest


class _DocumentsWriter:
    """Writes provenance as documents pass by on their way to the packer."""

    def __init__(self, path: Path, num_bytes: np.ndarray) -> None:
        self.writer = ArrayRecordWriter(str(path), DOCUMENT_OPTIONS)
        self.bytes_of_token = num_bytes
        self.lengths = array("I")
        self.num_bytes = 0

    def record(self, documents: Iterable[TokenizedDocument]) -> Iterator[np.ndarray]:
        for document in documents:
            provenance, tokens = document.provenance, document.tokens
            represented = int(self.bytes_of_token[tokens].sum())
            if represented != provenance["num_bytes"]:
                raise UserError(
                    f"the tokenizer is not lossless: its tokens of {provenance['id']!r} stand for "
                    f"{represented} bytes, the text has {provenance['num_bytes']}"
                )
            self.writer.write(json.dumps({**provenance, "num_tokens": len(tokens)}).encode())
            self.lengths.append(len(tokens))
            self.num_bytes += represented
            yield tokens


class _RowsWriter:
    """Writes rows to numbered shards, which get their final names when their number is known."""

    def __init__(self, directory: Path, vocab_size: int, rows_per_shard: int) -> None:
        self.directory = directory
        self.vocab_size = vocab_size
        self.rows_per_shard = rows_per_shard
        self.digest = hashlib.sha256()
        self.num_rows = 0
        self.stats = array("I")  # 3 a row: documents begun, bytes, targets
        self.num_split_documents = 0
        self.paths: list[Path] = []
        self.writer: ArrayRecordWriter | None = None

    def add(self, row: Row, lengths: array) -> None:
        """`lengths` are the token counts of all documents read so far."""
        if self.num_rows % self.rows_per_shard == 0:
            if self.writer is not None:
                self.writer.close()
            self.paths.append(self.directory / f"rows-{len(self.paths):05d}")
            self.writer = ArrayRecordWriter(str(self.paths[-1]), ROW_OPTIONS)
        assert self.writer is not None
        record = encode_row(row, self.vocab_size)
        self.digest.update(record)
        self.writer.write(record)
        self.num_rows += 1
        self.stats.extend((row.num_documents_begun, int(row.segment_bytes.sum()), row.num_targets))
        # A document is split if its last target stands in a segment that is not its first.
        columns = (row.documents, row.document_offsets, row.segment_lengths)
        for document, start, length in zip(*(c.tolist() for c in columns), strict=True):
            if start > 0 and length > 1 and start + length == lengths[document]:
                self.num_split_documents += 1

    def close(self) -> tuple[Shard, ...]:
        """Names the shards, writes `row_stats.npy`, returns the shards' entries."""
        if self.writer is not None:
            self.writer.close()
        stats = np.array(self.stats, np.uint32).reshape(-1, 3)
        np.save(self.directory / "row_stats.npy", stats)
        shards = []
        for index, path in enumerate(self.paths):
            path = path.rename(f"{path}-of-{len(self.paths):05d}.arrayrecord")
            num_rows = min(self.rows_per_shard, self.num_rows - index * self.rows_per_shard)
            shards.append(Shard(path.name, num_rows, path.stat().st_size, file_sha256(path)))
        return tuple(shards)
