"""Batches of rows: how fast they are made, and how long a training step waits for them.

    python benchmarks/loader.py [--max-seq-len 8192] [--batch-size 32] [--batches 64]

Writes two sources of random tokens to a temporary directory and loads batches of them with several
numbers of threads. "Waits" is the share of time that a consumer spends in `next` when its own work
(a sleep, as if an accelerator computed) takes twice as long as making one batch in one thread.
The files are in the page cache, so this measures decoding and batching, not a disk.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from codepretrain.files.directory import joined_directory, whole_directory
from codepretrain.files.sealed import write_sealed
from codepretrain.rows.format import FORMAT_VERSION, Row, encode_row
from codepretrain.rows.manifest import (
    DOCUMENTS,
    MANIFEST,
    ROWS,
    STATS,
    RowsManifest,
    rows_directory,
)
from codepretrain.rows.part import Part, merkle_root, part_name
from codepretrain.rows.records import RecordWriter, index_name
from codepretrain.rows.store import open_sources
from codepretrain.stream.loader import BatchLoader
from codepretrain.stream.mixture import MixtureStage
from codepretrain.stream.order import RowOrder

VOCAB_SIZE = 256_000
ROWS_PER_SOURCE = 2048
SEGMENTS_PER_ROW = 8
SOURCES = ("text", "web_code")


def random_row(rng: np.random.Generator, max_seq_len: int, vocab_size: int = VOCAB_SIZE) -> Row:
    cuts = np.sort(rng.choice(np.arange(1, max_seq_len + 1), SEGMENTS_PER_ROW - 1, replace=False))
    starts = np.concatenate([[0], cuts]).astype(np.int32)
    lengths = np.diff(np.append(starts, max_seq_len + 1)).astype(np.int32)
    numbers = rng.integers(0, 2**31, SEGMENTS_PER_ROW)
    return Row(
        tokens=rng.integers(3, vocab_size, max_seq_len + 1, dtype=np.int32),
        segment_starts=starts,
        segment_lengths=lengths,
        documents=numbers,
        document_offsets=np.zeros_like(numbers),
        segment_bytes=4 * lengths.astype(np.int64),
    )


def write_source(data_dir: Path, source: str, *, max_seq_len: int) -> None:
    rng = np.random.default_rng(len(source))
    directory = rows_directory(data_dir, source, "train")
    name = part_name(0)
    with (
        whole_directory(directory / name) as folder,
        RecordWriter(folder, ROWS) as rows,
        RecordWriter(folder, DOCUMENTS) as documents,
    ):
        for _ in range(ROWS_PER_SOURCE):
            rows.write(encode_row(random_row(rng, max_seq_len), VOCAB_SIZE))
        np.save(folder / STATS, np.zeros((ROWS_PER_SOURCE, 3), np.uint32))
        rows.finish()
        documents.finish()
    sha256 = rows.sha256.hexdigest()
    with joined_directory(directory, [name]) as folder:
        for file in (index_name(ROWS), index_name(DOCUMENTS), STATS):
            shutil.copy(Path(directory) / name / file, folder / file)
        counts: dict[str, Any] = dict.fromkeys(
            (name for name in RowsManifest.__annotations__ if name.startswith("num_")), 0
        )
        counts |= {"num_rows": ROWS_PER_SOURCE, "num_padding": ROWS_PER_SOURCE * max_seq_len}
        manifest = RowsManifest(
            **counts,
            source=source,
            split="train",
            format_version=FORMAT_VERSION,
            max_seq_len=max_seq_len,
            packing="best_fit",
            vocab_size=VOCAB_SIZE,
            rows_sha256=merkle_root([sha256]),
            documents_hash="",
            tokenizer_hash="",
            vocabulary_hash="",
            identity="",
            parts=(Part(name, ROWS_PER_SOURCE, 0, sha256),),
        )
        write_sealed(folder / MANIFEST, manifest.to_json())


def load_all(
    data_dir: Path, order: RowOrder, *, threads: int, step_s: float
) -> tuple[float, float]:
    """Returns seconds in all and seconds waited for every batch but the first."""
    loader = BatchLoader(
        order,
        open_sources(data_dir, SOURCES, "train"),
        process_index=0,
        process_count=1,
        mask_documents=True,
        threads=threads,
        prefetch=8,
    )
    with loader:
        next(loader)
        started, waited = time.perf_counter(), loader.wait_s
        for _ in loader:
            time.sleep(step_s)
        return time.perf_counter() - started, loader.wait_s - waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-seq-len", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=64)
    arguments = parser.parse_args()
    batch_size, num_batches = arguments.batch_size, arguments.batches
    order = RowOrder.build(
        [MixtureStage(batch_size * (num_batches + 1), dict.fromkeys(SOURCES, 1.0))],
        batch_size=batch_size,
        seed=0,
        start_ordinals={},
        rows_available=dict.fromkeys(SOURCES, ROWS_PER_SOURCE),
    )
    with tempfile.TemporaryDirectory() as directory:
        for source in SOURCES:
            write_source(Path(directory), source, max_seq_len=arguments.max_seq_len)
        alone, _ = load_all(Path(directory), order, threads=0, step_s=0)
        step_s = 2 * alone / num_batches
        print(f"{batch_size} rows of {arguments.max_seq_len} tokens a batch, step {step_s:.3f} s\n")
        print(f"{'threads':<10}{'batches/s':>12}{'rows/s':>12}{'M tokens/s':>12}{'waits':>10}")
        for threads in (0, 1, 2, 4):
            seconds, _ = load_all(Path(directory), order, threads=threads, step_s=0)
            busy, waited = load_all(Path(directory), order, threads=threads, step_s=step_s)
            rows = batch_size * num_batches / seconds
            print(
                f"{threads or 'none':<10}{num_batches / seconds:>12.1f}{rows:>12.0f}"
                f"{rows * arguments.max_seq_len / 1e6:>12.1f}{waited / busy:>10.1%}"
            )


if __name__ == "__main__":
    main()
