"""From documents to rows: MB of text per second, by wall clock and per core.

    python benchmarks/pack.py [--megabytes 20] [--max-seq-len 256] [--vocab-size 4096]

Reads this machine's own Python code into a temporary directory, then times each stage alone and
`prepare`'s inner loop (Task → packing → rows on disk) as a whole. "Per core" divides by the CPU
seconds that the process and its threads used, so it means the same on a busy machine.
"""

import argparse
import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from codepretrain.data.collect import collect
from rich.console import Console
from rich.table import Table

from codepretrain.config.schema import (
    DataConfig,
    ModelConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from codepretrain.data import seqio_tasks
from codepretrain.data.document import Document
from codepretrain.data.documents import documents_directory
from codepretrain.data.engines import InProcess
from codepretrain.data.pack import PACKERS
from codepretrain.data.readers import make_reader
from codepretrain.data.select_documents import select_documents
from codepretrain.data.selection import split_documents
from codepretrain.data.tokenizer import encode, load_tokenizer, save_tokenizer, train_tokenizer
from codepretrain.data.write_rows import MadeFrom, TokenizedDocument, write_rows
from codepretrain.rows.manifest import RowsManifest, rows_directory
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path

SOURCE = "code"


def study(flags: argparse.Namespace) -> StudyConfig:
    options = {"max_bytes": int(flags.megabytes * 1e6)}
    return StudyConfig(
        name="benchmark",
        model=ModelConfig(
            vocab_size=flags.vocab_size,
            d_model=8,
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            head_dim=8,
            d_ff=8,
        ),
        data=DataConfig(
            sources={SOURCE: SourceConfig(reader="python_code", kind="code", options=options)},
            max_seq_len=flags.max_seq_len,
            tokenizer=TokenizerConfig(vocab_size=flags.vocab_size),
        ),
        training=TrainingConfig(batch_size=1),
        phases={},
        variants={},
    )


class Stages:
    """Times stages over the same text and tables them."""

    def __init__(self) -> None:
        self.table = Table(title="Preparing data")
        self.num_bytes = 0
        for column in ("stage", "seconds", "MB/s", "MB/s per core"):
            self.table.add_column(column, justify="left" if column == "stage" else "right")

    def time(self, name: str, function: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        megabytes = self.num_bytes / 1e6
        self.table.add_row(name, f"{wall:.2f}", f"{megabytes / wall:.2f}", f"{megabytes / cpu:.2f}")
        return result


def collect_documents(config: StudyConfig, data_dir: Path, stages: Stages) -> None:
    def advance(num_bytes: int) -> None:
        stages.num_bytes += num_bytes

    wall, cpu = time.perf_counter(), time.process_time()
    reader = make_reader(SOURCE, config.data.sources[SOURCE])
    collect(
        SOURCE,
        reader,
        reader.shards(),
        directory=documents_directory(data_dir, SOURCE),
        settings_hash="",
        executor=None,
        advance=advance,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    megabytes = stages.num_bytes / 1e6
    row = (f"{wall:.2f}", f"{megabytes / wall:.2f}", f"{megabytes / cpu:.2f}")
    stages.table.add_row("read, strip docstrings, drop duplicates", *row)
    select_documents(config, data_dir, InProcess())


def training_documents(data_dir: Path) -> Iterator[Document]:
    return split_documents(data_dir, source=SOURCE, split="train")


def task_to_rows(config: StudyConfig, data_dir: Path, packing: str) -> RowsManifest:
    documents = training_documents(data_dir)
    tokens = seqio_tasks.tokenized_documents(
        seqio_tasks.register_tasks(config, data_dir)[SOURCE], "train"
    )
    return write_rows(
        rows_directory(data_dir, f"{SOURCE}_{packing}", "train"),
        (
            TokenizedDocument(provenance=document.provenance(), tokens=ids)
            for document, ids in zip(documents, tokens, strict=True)
        ),
        source=SOURCE,
        split="train",
        config=dataclasses.replace(config.data, packing=packing),
        num_bytes=load_vocabulary(data_dir).num_bytes,
        made_from=MadeFrom(
            settings_hash="", documents_hash="", tokenizer_hash="", vocabulary_hash=""
        ),
    )


def count(items: Iterable[Any]) -> int:
    return sum(1 for _ in items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--max-seq-len", type=int, default=256)
    parser.add_argument("--vocab-size", type=int, default=4096)
    flags = parser.parse_args()
    config, stages, console = study(flags), Stages(), Console()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        settings = config.data.tokenizer
        collect_documents(config, data_dir, stages)
        texts = [document.text for document in training_documents(data_dir)]
        tokenizer = stages.time("train the tokenizer", lambda: train_tokenizer(texts, settings))
        save_tokenizer(tokenizer, settings, data_dir)
        tokenizer = load_tokenizer(tokenizer_path(data_dir), settings)
        ids = stages.time("tokenize (tokenizers alone)", lambda: encode(tokenizer, texts, settings))
        num_bytes = load_vocabulary(data_dir).num_bytes
        for name, packer in PACKERS.items():
            rows = packer(ids, flags.max_seq_len, num_bytes)
            stages.time(f"pack, {name} (alone)", partial(count, rows))

        task = seqio_tasks.register_tasks(config, data_dir)[SOURCE]
        stages.time(
            "tokenize (seqio Task)", lambda: count(seqio_tasks.tokenized_documents(task, "train"))
        )
        for name in PACKERS:
            manifest = stages.time(
                f"Task → {name} → rows on disk",
                partial(task_to_rows, config, data_dir, name),
            )
            stages.table.caption = (
                f"{(stages.table.caption or '')}{name}: {manifest.num_rows:,} rows, "
                f"{manifest.efficiency:.2%} filled, {manifest.num_split_documents:,} of "
                f"{manifest.num_documents:,} documents split\n"
            )
    console.print(stages.table)
    console.print(
        f"{stages.num_bytes / 1e6:.1f} MB, {sum(map(len, ids)):,} tokens, T = "
        f"{flags.max_seq_len}, vocabulary {flags.vocab_size:,}"
    )


if __name__ == "__main__":
    main()
