"""Random reads of rows over a thousand files: reads per second, memory, open files.

    python benchmarks/row_store.py [--shards 1000] [--rows-per-shard 65536] [--max-seq-len 128]

Writes two files of random rows and links them to as many names as there are shards, so the index
has its real size (16 bytes a row) and the disk need not hold a corpus. Rows are read in random
order, decoded and checked, by one thread. The files are in the page cache: this measures finding
and decoding a row, not a disk.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from loader import VOCAB_SIZE, random_row

from codepretrain.rows.format import decode_row, encode_row
from codepretrain.rows.records import (
    Records,
    RecordWriter,
    Shard,
    index_name,
    open_index,
)
from codepretrain.rows.shard_files import ShardFiles


def write_shards(
    folder: Path, *, num_shards: int, rows_per_shard: int, max_seq_len: int
) -> list[Shard]:
    """Writes two different files and links the others to them; the index is that of all."""
    rng = np.random.default_rng(0)
    rows = [encode_row(random_row(rng, max_seq_len), VOCAB_SIZE) for _ in range(256)]
    written, indexes = [], []
    for half in range(2):
        with RecordWriter(folder, f"rows-{half}") as writer:
            for number in range(half * rows_per_shard, (half + 1) * rows_per_shard):
                writer.write(rows[number * 7 % len(rows)])
            written.append(writer.finish())
        indexes.append(np.load(folder / index_name(f"rows-{half}")))
    two = np.concatenate(indexes)
    index = np.lib.format.open_memmap(
        folder / index_name("rows"), "w+", two.dtype, (num_shards * rows_per_shard,)
    )
    shards = []
    for number in range(num_shards):
        name = f"link-{number:05d}.records"
        os.link(folder / written[number % 2].name, folder / name)
        shards.append(Shard(name, rows_per_shard))
        start, half = number * rows_per_shard, number % 2 * rows_per_shard
        index[start : start + rows_per_shard] = two[half : half + rows_per_shard]
    index.flush()
    return shards


def memory_mib() -> dict[str, int]:
    """Returns resident memory of our own (RssAnon) and of mapped files (RssFile)."""
    text = Path("/proc/self/status").read_text()
    return {
        name: int(text.split(f"{name}:")[1].split()[0]) // 1024 for name in ("RssAnon", "RssFile")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows-per-shard", type=int, default=65_536)
    parser.add_argument("--max-seq-len", type=int, default=128)
    parser.add_argument("--reads", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        shards = write_shards(
            folder,
            num_shards=arguments.shards,
            rows_per_shard=arguments.rows_per_shard,
            max_seq_len=arguments.max_seq_len,
        )
        before, started = memory_mib(), time.perf_counter()
        path = folder / index_name("rows")
        num_rows = arguments.shards * arguments.rows_per_shard
        index = open_index(path, num_records=num_rows, shown_as=path, remedy="")
        records = Records(ShardFiles(folder, {s.name: "" for s in shards}), shards, index)
        opened_s = time.perf_counter() - started
        numbers = np.random.default_rng(1).integers(0, num_rows, arguments.reads).tolist()
        for number in numbers[:200]:
            decode_row(records[number])
        started, cpu = time.perf_counter(), time.process_time()
        for number in numbers:
            decode_row(records[number])
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        print(
            f"{arguments.shards} files of {arguments.rows_per_shard} rows of "
            f"{arguments.max_seq_len} tokens, {arguments.reads} random reads"
        )
        print(f"opened in {opened_s * 1e3:.1f} ms")
        print(
            f"{arguments.reads / seconds:,.0f} rows/s, {cpu_s / arguments.reads * 1e6:.0f} µs CPU"
        )
        print(f"MiB before {before}, after {memory_mib()}")
        print(f"{len(os.listdir('/proc/self/fd'))} open files")


if __name__ == "__main__":
    main()
