"""Packs tokenized documents into one part of rows (`rows/part.py` describes its files)."""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.data.packing.pack import PACKERS, Tokenized
from codepretrain.errors import UserError
from codepretrain.files.directory import whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import (
    FORMAT_VERSION,
    Segment,
    encode_segments,
    encode_tokens,
    token_width,
)
from codepretrain.rows.manifest import DOCUMENTS, ROWS, STATS
from codepretrain.rows.part import PART, PartManifest
from codepretrain.rows.records import RecordWriter

_to_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, kw_only=True)
class TokenizedBatch:
    """Consecutive documents: the provenance of each, and its token ids with bos and eos [n]."""

    provenance: Sequence[Mapping[str, Any]]
    tokens: Sequence[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How a source and split are packed.

    num_bytes: [V] int32, bytes of text that each id represents.
    """

    identity: str
    packing: str
    max_seq_len: int
    num_bytes: np.ndarray


def write_part(
    directory: StrPath, batches: Iterable[TokenizedBatch], *, number: int, how: Packing
) -> PartManifest:
    """Packs the documents into `directory`, which appears when everything is written.

    Raises:
      UserError: the tokenizer does not give a document's text back, or the disk is full.
    """
    width = token_width(len(how.num_bytes))
    with (
        whole_directory(directory) as folder,
        RecordWriter(folder, ROWS) as rows,
        RecordWriter(folder, DOCUMENTS) as provenance,
    ):
        read = _Documents(provenance, how.num_bytes, width)
        written = _Rows(rows, how.max_seq_len + 1, width)
        for segments in PACKERS[how.packing](read.record(batches), how.max_seq_len):
            written.add(segments)
        assert sum(written.stats[2::3]) == read.num_tokens - len(provenance), (
            "a target was lost or doubled"
        )
        assert sum(written.stats[1::3]) == read.num_bytes, "bytes were lost or doubled"
        rows.finish()
        provenance.finish()
        manifest = PartManifest(
            format_version=FORMAT_VERSION,
            identity=how.identity,
            number=number,
            num_documents=len(provenance),
            num_bytes=read.num_bytes,
            num_tokens=read.num_tokens,
            num_rows=len(rows),
            num_split_documents=written.num_split_documents,
            rows_sha256=rows.sha256.hexdigest(),
        )
        written.save_stats(folder / STATS)
        write_sealed(folder / PART, manifest.to_json())
    return manifest


class _Documents:
    """Writes the provenance of documents on their way to the packer."""

    def __init__(self, provenance: RecordWriter, num_bytes: np.ndarray, width: int) -> None:
        self.provenance = provenance
        self.bytes_of_token = num_bytes
        self.width = width
        self.num_bytes = self.num_tokens = 0

    def record(self, batches: Iterable[TokenizedBatch]) -> Iterator[Tokenized]:
        width = self.width
        for batch in batches:
            tokens = np.concatenate(batch.tokens)
            ends = np.cumsum([len(ids) for ids in batch.tokens])
            through = np.cumsum(self.bytes_of_token[tokens], dtype=np.int64)
            self._check(batch.provenance, np.diff(through[ends - 1], prepend=0))
            encoded = memoryview(encode_tokens(tokens, width))
            start = 0
            for fields, end in zip(batch.provenance, ends.tolist(), strict=True):
                document = _to_json({**fields, "num_tokens": end - start})
                self.provenance.write(document.encode())
                yield Tokenized(encoded[start * width : end * width], through[start:end])
                start = end
            self.num_bytes += int(through[-1])
            self.num_tokens += len(tokens)

    def _check(self, provenance: Sequence[Mapping[str, Any]], represented: np.ndarray) -> None:
        expected = np.array([fields["num_bytes"] for fields in provenance])
        for wrong in np.flatnonzero(represented != expected)[:1]:
            raise UserError(
                f"the tokenizer is not lossless: its tokens of document "
                f"{provenance[wrong]['id']!r} represent {represented[wrong]} bytes, the text has "
                f"{expected[wrong]}; let config.data.tokenizer.path name another tokenizer"
            )


class _Rows:
    """Writes rows and collects their statistics."""

    def __init__(self, rows: RecordWriter, row_length: int, width: int) -> None:
        self.rows = rows
        self.row_length = row_length
        self.width = width
        self.stats = array("I")  # 3 a row: documents begun, bytes, targets
        self.num_split_documents = 0

    def add(self, segments: Sequence[Segment]) -> None:
        self.rows.write(encode_segments(segments, self.row_length, self.width))
        num_begun = num_bytes = num_targets = 0
        for segment in segments:
            num_bytes += segment.num_bytes
            num_targets += segment.length - 1
            if segment.length > 1:
                if segment.offset == 0:
                    num_begun += 1
                elif segment.ends_document:  # its last target is not in its first segment
                    self.num_split_documents += 1
        self.stats.extend((num_begun, num_bytes, num_targets))

    def save_stats(self, path: Path) -> None:
        stats = np.array(self.stats, np.uint32).reshape(-1, 3)
        with explained("write", path):
            np.save(path, stats)
