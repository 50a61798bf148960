"""Prepares a study's data: documents, splits, tokenizer, rows, evaluation items, in this order.

Each part is a directory that is written atomically, so a rerun resumes after the last finished part
and does nothing if all are finished.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from etils import epath
from rich.console import Console
from rich.progress import Progress

from codepretrain.config.schema import StudyConfig
from codepretrain.data.document import Document
from codepretrain.data.documents import has_documents, open_documents, pool_folder
from codepretrain.data.documents_view import set_documents_entry
from codepretrain.data.engines import local_engine
from codepretrain.data.eval_items import write_eval_items
from codepretrain.data.filters import make_filters
from codepretrain.data.inputs import check_inputs
from codepretrain.data.native_log import captured_stderr
from codepretrain.data.outdated import remove_outdated, remove_outdated_rows
from codepretrain.data.prepared import PreparedData, check_splits, load_prepared, summary
from codepretrain.data.progress import progress_display, progress_line
from codepretrain.data.read_source import SourceReading, read_source
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.reader import Reader
from codepretrain.data.samples import sample_bytes
from codepretrain.data.splits import has_splits, split_documents, write_splits
from codepretrain.data.tokenizer import (
    copy_tokenizer,
    save_tokenizer,
    train_tokenizer,
)
from codepretrain.data.workers import check_num_workers
from codepretrain.data.write_rows import MadeFrom, TokenizedDocument, write_rows
from codepretrain.files.hashing import sha256_json
from codepretrain.files.lease import exclusive
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath, is_file
from codepretrain.rows.data_dir import (
    check_rows,
    current_tokenizer,
    is_prepared,
    reading_settings,
    settings_hash,
    settings_path,
    study_settings,
)
from codepretrain.rows.eval_items import has_items
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import has_rows, load_manifest, rows_directory
from codepretrain.rows.vocabulary import has_tokenizer, load_vocabulary


def prepare(
    config: StudyConfig,
    data_dir: StrPath,
    *,
    num_workers: int,
    rereads_changed: bool = False,
    console: Console | None = None,
) -> PreparedData:
    """Prepares the missing parts of the study's data.

    With `rereads_changed`, sources whose raw files changed are read again, and everything that was
    made from them is made again; without, they are refused.

    The result does not depend on `num_workers`, the number of processes that read raw material;
    tokenizing uses all cores. Progress and a summary go to the console, by default on stderr.

    One preparation at a time uses the folder above `data_dir`, which holds what studies share;
    another one waits for it.

    Raises:
      UserError: an unknown reader, filter or option, a missing corpus or tokenizer, a directory
        that cannot be written, a full disk, or data that is damaged or was prepared under other
        settings.
    """
    check_num_workers(num_workers)
    console = console or Console(stderr=True)
    readers = {
        source: make_reader(source, chosen)
        for source, chosen in sorted(config.data.sources.items())
    }
    for source, chosen in config.data.sources.items():
        make_filters(f"config.data.sources.{source}.filters", chosen.filters)
    seconds: dict[str, float] = {}
    pools = epath.Path(data_dir).parent
    with exclusive(pools, waits=True, announce=partial(console.print, soft_wrap=True)):
        shards = check_inputs(
            config, data_dir, readers, rereads_changed=rereads_changed, note=console.print
        )
        if rereads_changed:
            remove_outdated(config, data_dir, list(shards))
        if not _is_complete(config, data_dir):
            _start_tensorflow()
            with progress_display(console) as progress:
                stages: dict[str, Callable[[], None]] = {
                    "read": lambda: _read(config, data_dir, readers, shards, num_workers, progress),
                    "split": lambda: _split(config, data_dir),
                    "tokenizer": lambda: _make_tokenizer(config, data_dir),
                    "pack": lambda: _pack(config, data_dir, progress),
                    "items": lambda: _make_items(config, data_dir),
                }
                _write_settings(config, data_dir)
                for name, stage in stages.items():
                    start = time.monotonic()
                    stage()
                    seconds[name] = time.monotonic() - start
                    if rereads_changed and name == "tokenizer":
                        remove_outdated_rows(config, data_dir)
    prepared = load_prepared(config, data_dir, seconds=seconds)
    console.print(summary(prepared))
    return prepared


def _is_complete(config: StudyConfig, data_dir: StrPath) -> bool:
    """Returns whether documents and splits, which training does not need, exist too."""
    return (
        all(has_documents(data_dir, source) for source in config.data.sources)
        and has_splits(data_dir)
        and is_prepared(config, data_dir)
    )


def _start_tensorflow() -> None:
    """Imports TensorFlow before its messages could break the progress display."""
    with captured_stderr():
        from codepretrain.data import seqio_tasks

        seqio_tasks.leave_accelerators_alone()


def _read(
    config: StudyConfig,
    data_dir: StrPath,
    readers: Mapping[str, Reader],
    shards: Mapping[str, Any],
    num_workers: int,
    progress: Progress,
) -> None:
    """Reads the sources that are not read yet."""
    if not shards:
        return
    with local_engine(num_workers) as engine:
        for source in shards:
            settings_hash = sha256_json(reading_settings(config, source))
            filters = config.data.sources[source].filters
            reading = SourceReading(
                source=source,
                reader=readers[source],
                filters=tuple(make_filters(f"config.data.sources.{source}.filters", filters)),
                shards=shards[source],
                folder=pool_folder(data_dir, source, settings_hash),
                settings_hash=settings_hash,
            )
            with progress_line(progress, f"reading {source}", readers[source].max_bytes) as advance:
                _, entry = read_source(reading, engine, advance=advance)
            set_documents_entry(data_dir, source, entry)


def _split(config: StudyConfig, data_dir: StrPath) -> None:
    """Splits all sources together, unless that is done."""
    if not has_splits(data_dir):
        write_splits(
            data_dir,
            sorted(config.data.sources),
            fraction=config.data.validation_fraction,
            cache_bytes=config.execution.row_cache_bytes,
        )


def _make_tokenizer(config: StudyConfig, data_dir: StrPath) -> None:
    """Trains the tokenizer on a sample of the training documents, or copies the given one."""
    settings = config.data.tokenizer
    if has_tokenizer(data_dir):
        return
    if settings.path is not None:
        copy_tokenizer(settings.path, settings, data_dir)
        return
    samples = (
        sample_bytes(
            data_dir,
            source=source,
            split="train",
            purpose="tokenizer",
            num_bytes=round(
                settings.training_bytes_per_source * settings.training_weights.get(source, 1.0)
            ),
            cache_bytes=config.execution.row_cache_bytes,
        )
        for source in sorted(config.data.sources)
    )
    texts = (document.text for document in chain.from_iterable(samples))
    save_tokenizer(train_tokenizer(texts, settings), settings, data_dir)


def _pack(config: StudyConfig, data_dir: StrPath, progress: Progress) -> None:
    """Runs every source's Task over the splits that have no rows yet."""
    found, missing = {}, []
    for source in sorted(config.data.sources):
        for split in SPLITS:
            directory = rows_directory(data_dir, source, split)
            if has_rows(directory):
                found[source, split] = load_manifest(directory, source=source, split=split)
            else:
                missing.append((source, split))
    check_rows(config, found, data_dir)
    if not missing:
        return
    for source in sorted({source for source, _ in missing}):
        open_documents(data_dir, source).check(reads_contents=True)
    # TensorFlow takes seconds to import: only when there is something to tokenize.
    from codepretrain.data import seqio_tasks

    names = seqio_tasks.register_tasks(config, data_dir)
    for source, split in missing:
        _pack_split(config, data_dir, names[source], source, split, progress)
    seqio_tasks.register_mixtures(config, data_dir)


def _pack_split(
    config: StudyConfig,
    data_dir: StrPath,
    task: str,
    source: str,
    split: str,
    progress: Progress,
) -> None:
    from codepretrain.data import seqio_tasks

    splits, documents_hashes = check_splits(config, data_dir)
    tokenizer_hash, vocabulary_hash = current_tokenizer(config, data_dir)
    total = splits.num_bytes[source][split]
    with progress_line(progress, f"packing {source}, {split}", total) as advance:
        tokens = seqio_tasks.tokenized_documents(task, split)
        write_rows(
            rows_directory(data_dir, source, split),
            _with_provenance(_documents(config, data_dir, source, split), tokens, advance),
            source=source,
            split=split,
            config=config.data,
            num_bytes=load_vocabulary(data_dir).num_bytes,
            made_from=MadeFrom(
                settings_hash=settings_hash(config, source),
                documents_hash=documents_hashes[source],
                tokenizer_hash=tokenizer_hash,
                vocabulary_hash=vocabulary_hash,
            ),
        )


def _make_items(config: StudyConfig, data_dir: StrPath) -> None:
    if not has_items(data_dir):
        write_eval_items(config, data_dir)


def _documents(
    config: StudyConfig, data_dir: StrPath, source: str, split: str
) -> Iterator[Document]:
    cache_bytes = config.execution.row_cache_bytes
    return split_documents(data_dir, source=source, split=split, cache_bytes=cache_bytes)


def _with_provenance(
    documents: Iterator[Document], tokens: Iterator[np.ndarray], advance: Callable[[int], None]
) -> Iterator[TokenizedDocument]:
    for document, ids in zip(documents, tokens, strict=True):
        yield TokenizedDocument(provenance=document.provenance(), tokens=ids)
        advance(document.num_bytes)


def _write_settings(config: StudyConfig, data_dir: StrPath) -> None:
    path = settings_path(data_dir)
    if not is_file(path):
        write_sealed(path, study_settings(config))
