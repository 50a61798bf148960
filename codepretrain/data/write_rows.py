"""Packs documents into the rows of a source and split (`rows/manifest.py` describes the files)."""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.config.schema import DataConfig
from codepretrain.data.pack import PACKERS
from codepretrain.errors import UserError
from codepretrain.files.directory import whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import FORMAT_VERSION, Row, encode_row
from codepretrain.rows.manifest import DOCUMENTS, ROWS, STATS, RowsManifest
from codepretrain.rows.records import RecordWriter
from codepretrain.rows.verify import MANIFEST

_DOCUMENTS_PER_SHARD = 2**20


@dataclass(frozen=True, kw_only=True)
class TokenizedDocument:
    """A document's provenance and its token ids, bos and eos included: [n] int32."""

    provenance: dict[str, Any]
    tokens: np.ndarray


@dataclass(frozen=True, kw_only=True)
class MadeFrom:
    """Hashes of what rows are made from; see `RowsManifest`."""

    settings_hash: str
    documents_hash: str
    tokenizer_hash: str
    vocabulary_hash: str


def write_rows(
    directory: StrPath,
    documents: Iterable[TokenizedDocument],
    *,
    source: str,
    split: str,
    config: DataConfig,
    num_bytes: np.ndarray,
    made_from: MadeFrom,
) -> RowsManifest:
    """Packs the documents into `directory`, which appears when everything is written.

    Args:
      num_bytes: [V] int32, bytes of text that each id represents.

    Raises:
      UserError: the tokenizer does not give a document's text back, or the disk is full.
    """
    with (
        whole_directory(directory) as folder,
        RecordWriter(folder, ROWS, records_per_shard=config.rows_per_shard) as rows,
        RecordWriter(folder, DOCUMENTS, records_per_shard=_DOCUMENTS_PER_SHARD) as provenance,
    ):
        read = _DocumentsWriter(provenance, num_bytes)
        written = _RowsWriter(rows, vocab_size=len(num_bytes))
        packer = PACKERS[config.packing]
        for row in packer(read.record(documents), config.max_seq_len, num_bytes):
            written.add(row, read.lengths)
        num_tokens, num_documents = sum(read.lengths), len(read.lengths)
        num_targets = num_tokens - num_documents
        assert sum(written.stats[2::3]) == num_targets, "a target was lost or doubled"
        assert sum(written.stats[1::3]) == read.num_bytes, "bytes were lost or doubled"
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
            num_rows=len(rows),
            num_padding=len(rows) * config.max_seq_len - num_targets,
            num_split_documents=written.num_split_documents,
            rows_sha256=rows.sha256.hexdigest(),
            documents_hash=made_from.documents_hash,
            tokenizer_hash=made_from.tokenizer_hash,
            vocabulary_hash=made_from.vocabulary_hash,
            settings_hash=made_from.settings_hash,
            row_shards=rows.finish(),
            document_shards=provenance.finish(),
        )
        written.save_stats(folder / STATS)
        write_sealed(folder / MANIFEST, manifest.to_json())
    return manifest


class _DocumentsWriter:
    """Writes the provenance of documents on their way to the packer."""

    def __init__(self, provenance: RecordWriter, num_bytes: np.ndarray) -> None:
        self.provenance = provenance
        self.bytes_of_token = num_bytes
        self.lengths = array("I")
        self.num_bytes = 0

    def record(self, documents: Iterable[TokenizedDocument]) -> Iterator[np.ndarray]:
        for document in documents:
            provenance, tokens = document.provenance, document.tokens
            represented = int(self.bytes_of_token[tokens].sum())
            if represented != provenance["num_bytes"]:
                raise UserError(
                    f"the tokenizer is not lossless: its tokens of document {provenance['id']!r} "
                    f"represent {represented} bytes, the text has {provenance['num_bytes']}"
                )
            record = {**provenance, "num_tokens": len(tokens)}
            self.provenance.write(json.dumps(record, ensure_ascii=False).encode())
            self.lengths.append(len(tokens))
            self.num_bytes += represented
            yield tokens


class _RowsWriter:
    """Writes rows and collects their statistics."""

    def __init__(self, rows: RecordWriter, *, vocab_size: int) -> None:
        self.rows = rows
        self.vocab_size = vocab_size
        self.stats = array("I")  # 3 a row: documents begun, bytes, targets
        self.num_split_documents = 0

    def add(self, row: Row, lengths: array) -> None:
        """lengths: token counts of all documents read so far."""
        self.rows.write(encode_row(row, self.vocab_size))
        self.stats.extend((row.num_documents_begun, int(row.segment_bytes.sum()), row.num_targets))
        # A document is split if its last target is in a segment that is not its first.
        columns = (row.documents, row.document_offsets, row.segment_lengths)
        for document, start, length in zip(*(c.tolist() for c in columns), strict=True):
            if start > 0 and length > 1 and start + length == lengths[document]:
                self.num_split_documents += 1

    def save_stats(self, path: Path) -> None:
        stats = np.array(self.stats, np.uint32).reshape(-1, 3)
        with explained("write", path):
            np.save(path, stats)
