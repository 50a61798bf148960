"""From documents to rows: MB of text per second, by wall clock and per core.

    python benchmarks/pack.py [--megabytes 40] [--max-seq-len 2048] [--vocab-size 4096] [--rounds 3]

Prepares this machine's own Python code in a temporary directory, then times, in turn and several
times: the tokenizer's merges alone, the encoder of `prepare` with and without words that it knows,
and all that a worker does for a part (documents on disk → token ids → rows on disk). "Per core"
divides by the CPU seconds that the process and its threads used, so it means the same on a busy
machine. The table shows the best round of each.
"""

import argparse
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from codepretrain.config.schema import (
    DataConfig,
    ModelConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from codepretrain.data.packing import pack_part as pack_part_module
from codepretrain.data.packing import pack_rows as pack_rows_module
from codepretrain.data.packing.pack_part import PartTask, pack_part
from codepretrain.data.prepare import prepare
from codepretrain.data.selection.selected import split_documents
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.vocabulary import tokenizer_path

SOURCE = "code"
BATCH = 256


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
            tokenizer=TokenizerConfig(
                vocab_size=flags.vocab_size, training_bytes_per_source=10_000_000
            ),
            validation_fraction=0.01,
        ),
        training=TrainingConfig(batch_size=1),
        phases={},
        variants={},
    )


class Stages:
    """The best time of each stage."""

    def __init__(self) -> None:
        self.best: dict[str, tuple[float, float, float]] = {}  # MB/s per core, MB/s, seconds

    def time(self, name: str, num_bytes: int, function: Callable[[], Any]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found = (num_bytes / 1e6 / cpu, num_bytes / 1e6 / wall, wall)
        self.best[name] = max(self.best.get(name, found), found)

    def table(self) -> Table:
        table = Table(title="From documents to rows")
        for column in ("stage", "seconds", "MB/s", "MB/s per core"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        for name, (per_core, per_second, wall) in self.best.items():
            table.add_row(name, f"{wall:.2f}", f"{per_second:.2f}", f"{per_core:.2f}")
        return table


def batches(texts: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]


def encode_all(encoder: DocumentEncoder, texts: list[str]) -> None:
    for batch in batches(texts):
        encoder.encode(batch)


def merge_all(tokenizer: Tokenizer, texts: list[str]) -> None:
    for batch in batches(texts):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            _ = encoding.ids


def part_tasks(config: StudyConfig, data_dir: Path, folder: Path) -> tuple[PartTask, ...]:
    made_from = pack_rows_module.find_inputs(config, data_dir)[SOURCE, "train"]
    return pack_rows_module.plan_parts(config, data_dir, made_from, folder).tasks


def pack_all(tasks: tuple[PartTask, ...], *, keeps_words: bool) -> None:
    if not keeps_words:
        pack_part_module.load_encoder.cache_clear()
    for task in tasks:
        pack_part(task)
        shutil.rmtree(task.directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=40.0)
    parser.add_argument("--max-seq-len", type=int, default=2048)
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    config, stages, console = study(flags), Stages(), Console()
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data" / "study"
        prepare(config, data_dir, num_workers=1, console=console)
        texts = [d.text for d in split_documents(data_dir, source=SOURCE, split="train")]
        num_bytes = sum(len(text.encode()) for text in texts)
        settings = config.data.tokenizer
        tokenizer = load_tokenizer(tokenizer_path(data_dir), settings)
        for _ in range(flags.rounds):
            stages.time("merges (tokenizers)", num_bytes, lambda: merge_all(tokenizer, texts))
            encoder = DocumentEncoder(tokenizer, settings)
            for state in ("no word known", "words known"):
                stages.time(f"encoder, {state}", num_bytes, partial(encode_all, encoder, texts))
            for packing in ("best_fit", "concatenate"):
                data = dataclasses.replace(config.data, packing=packing)
                chosen = dataclasses.replace(config, data=data)
                tasks = part_tasks(chosen, data_dir, Path(directory) / "rows")
                for keeps in (False, True):
                    name = f"part, {packing}, {'words known' if keeps else 'no word known'}"
                    stages.time(name, num_bytes, partial(pack_all, tasks, keeps_words=keeps))
        rows = rows_directory(data_dir, SOURCE, "train")
    console.print(stages.table())
    console.print(f"{num_bytes / 1e6:.1f} MB, {len(texts):,} documents; {rows.name}")


if __name__ == "__main__":
    main()
