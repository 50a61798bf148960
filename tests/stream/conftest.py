"""Builds small prepared sources: real ArrayRecord shards, statistics, provenance and manifest."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from codepretrain.row import Row, RowsManifest, Shard, encode_row, file_sha256, rows_directory
from codepretrain.stream.rows import RowStore

MAX_SEQ_LEN = 8
VOCAB_SIZE = 50_000


def _row(source: str, record: int) -> Row:
    """Two pieces, 5 and 3 of 9 tokens; tokens spell source and record, so rows can be told apart.

    The first piece is document `record` whole, the second a stretch of document 0.
    """
    mark = int(hashlib.sha256(source.encode()).hexdigest()[:3], 16)
    return Row(
        tokens=np.array([1, mark, 1000 + record, 7, 2, 1, 8, 9, 0], np.int32),
        piece_starts=np.array([0, 5], np.int32),
        piece_lengths=np.array([5, 3], np.int32),
        documents=np.array([record, 0], np.int64),
        document_offsets=np.array([0, 4], np.int64),
        piece_bytes=np.array([10 + record, 4], np.int64),
    )


def _write(path: Path, records: list[bytes]) -> None:
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., RowStore]:
    """A function that writes a source of `num_rows` rows under tmp_path and opens it."""

    def build(
        source: str, num_rows: int, *, rows_per_shard: int = 4, **changes: object
    ) -> RowStore:
        directory = rows_directory(tmp_path, source, "train")
        directory.mkdir(parents=True)
        rows = [_row(source, record) for record in range(num_rows)]
        starts = range(0, num_rows, rows_per_shard)
        shards = []
        for number, start in enumerate(starts):
            path = directory / f"rows-{number:05}-of-{len(starts):05}.arrayrecord"
            records = [encode_row(row, VOCAB_SIZE) for row in rows[start : start + rows_per_shard]]
            _write(path, records)
            shards.append(Shard(path.name, len(records), path.stat().st_size, file_sha256(path)))
        provenance = [
            {"id": f"{source}/{n}", "origin": f"file {n}", "language": "en", "licence": "MIT"}
            for n in range(num_rows)
        ]
        _write(directory / "documents.arrayrecord", [json.dumps(p).encode() for p in provenance])
        stats = [(row.num_documents_begun, row.piece_bytes.sum(), row.num_targets) for row in rows]
        np.save(directory / "row_stats.npy", np.array(stats, np.uint32).reshape(-1, 3))
        fields = {
            "source": source,
            "split": "train",
            "format_version": 1,
            "max_seq_len": MAX_SEQ_LEN,
            "packing": "best_fit",
            "vocab_size": VOCAB_SIZE,
            "num_documents": num_rows,
            "num_bytes": 100,
            "num_tokens": 7 * num_rows,
            "num_target_tokens": 6 * num_rows,
            "num_rows": num_rows,
            "num_padding": 2 * num_rows,
            "num_split_documents": 0,
            "rows_sha256": "r" * 64,
            "tokenizer_hash": "t" * 64,
            "settings_hash": "s" * 64,
            "shards": tuple(shards),
            "row_stats_sha256": file_sha256(directory / "row_stats.npy"),
            "documents_sha256": file_sha256(directory / "documents.arrayrecord"),
        }
        manifest = RowsManifest(**(fields | changes))
        (directory / "manifest.json").write_text(json.dumps(manifest.to_json()))
        return RowStore(directory)

    return build
