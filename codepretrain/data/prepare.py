"""From an experiment file to rows: documents, tokenizer, rows, evaluation items, in this order.

Each part is a folder that is there whole or not at all, so preparing again goes on where it was
stopped, and does nothing where all is there.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from codepretrain.config.schema import StudyConfig
from codepretrain.data.atomic import explained_errors
from codepretrain.data.document import Document
from codepretrain.data.documents import (
    collect,
    documents_directory,
    load_documents_manifest,
    read_documents,
)
from codepretrain.data.eval_items import write_eval_items
from codepretrain.data.manifest import TokenizedDocument, write_rows
from codepretrain.data.native_log import stderr_to
from codepretrain.data.prepared import PreparedData, load_prepared, summary
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.reader import Reader
from codepretrain.data.tokenizer import (
    copy_tokenizer,
    first_bytes,
    save_tokenizer,
    train_tokenizer,
)
from codepretrain.errors import UserError
from codepretrain.files.identity import digest
from codepretrain.files.lock import exclusive
from codepretrain.rows.data_dir import (
    check_rows,
    current_tokenizer_hash,
    is_prepared,
    reading_settings,
    settings_hash,
    settings_path,
    study_settings,
)
from codepretrain.rows.format import SPLITS, RowsManifest, rows_directory
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path


def prepare(
    config: StudyConfig, data_dir: Path, *, num_workers: int, console: Console | None = None
) -> PreparedData:
    """Prepares all that the study needs of its data and is not there yet.

    The result does not depend on `num_workers`, the number of processes that read raw material;
    tokenizing uses all cores. Progress and a summary go to the console, by default on stderr.

    Raises:
        UserError: a reader or an option that is not there, a directory that cannot be written, a
            full disk, or data prepared under other settings or with another tokenizer.
    """
    console = console or Console(stderr=True)
    readers = {
        source: make_reader(source, chosen)
        for source, chosen in sorted(config.data.sources.items())
    }
    seconds: dict[str, float] = {}
    with explained_errors(data_dir), exclusive(data_dir):
        if not is_prepared(config, data_dir):
            _start_tensorflow(data_dir)
            with _progress(console) as progress:
                stages: dict[str, Callable[[], None]] = {
                    "read": lambda: _read(config, data_dir, readers, num_workers, progress),
                    "tokenizer": lambda: _make_tokenizer(config, data_dir),
                    "pack": lambda: _pack(config, data_dir, progress),
                    "items": lambda: _make_items(config, data_dir),
                }
                _write_settings(config, data_dir)
                for name, stage in stages.items():
                    start = time.monotonic()
                    stage()
                    seconds[name] = time.monotonic() - start
    prepared = load_prepared(config, data_dir, seconds=seconds)
    console.print(summary(prepared))
    return prepared


def _start_tensorflow(data_dir: Path) -> None:
    """Imports TensorFlow now, before there is a progress bar that its messages would tear."""
    with stderr_to(data_dir / ".tensorflow.log"):
        from codepretrain.data import seqio_tasks

        seqio_tasks.leave_accelerators_alone()


def _read(
    config: StudyConfig,
    data_dir: Path,
    readers: Mapping[str, Reader],
    num_workers: int,
    progress: Progress,
) -> None:
    """Reads the sources that were not read yet."""
    missing = []
    for source in readers:
        directory = documents_directory(data_dir, source)
        expected = digest(reading_settings(config, source))
        if not (directory / "manifest.json").exists():
            missing.append(source)
        elif load_documents_manifest(directory).settings_hash != expected:
            raise UserError(
                f"{directory} was read under other settings; choose another --workdir, or delete "
                f"{data_dir} and prepare again"
            )
    if not missing:
        return
    with _executor(num_workers) as executor:
        for source in missing:
            with _task(progress, f"reading {source}", readers[source].max_bytes) as advance:
                collect(
                    source,
                    readers[source],
                    directory=documents_directory(data_dir, source),
                    validation_fraction=config.data.validation_fraction,
                    settings_hash=digest(reading_settings(config, source)),
                    executor=executor,
                    advance=advance,
                )


def _make_tokenizer(config: StudyConfig, data_dir: Path) -> None:
    """Trains the tokenizer on training documents of all sources, or takes over the given one."""
    settings = config.data.tokenizer
    if tokenizer_path(data_dir).exists():
        current_tokenizer_hash(config, data_dir)
    elif settings.path is not None:
        copy_tokenizer(Path(settings.path), settings, data_dir)
    else:
        texts = (
            first_bytes(
                (d.text for d in read_documents(documents_directory(data_dir, source), "train")),
                settings.training_bytes_per_source,
            )
            for source in sorted(config.data.sources)
        )
        tokenizer = train_tokenizer(chain.from_iterable(texts), settings)
        save_tokenizer(tokenizer, settings, data_dir)


def _pack(config: StudyConfig, data_dir: Path, progress: Progress) -> None:
    """Runs every source's Task over the splits that have no rows yet."""
    missing = []
    for source in sorted(config.data.sources):
        for split in SPLITS:
            directory = rows_directory(data_dir, source, split)
            if (directory / "manifest.json").exists():
                check_rows(config, RowsManifest.load(directory), data_dir)
            else:
                missing.append((source, split))
    if not missing:
        return
    # TensorFlow takes seconds to import: only when there is something to tokenize.
    from codepretrain.data import seqio_tasks

    names = seqio_tasks.register_tasks(config, data_dir)
    num_bytes = load_vocabulary(data_dir).num_bytes
    tokenizer_hash = current_tokenizer_hash(config, data_dir)
    for source, split in missing:
        documents = documents_directory(data_dir, source)
        total = load_documents_manifest(documents).num_bytes[split]
        with _task(progress, f"packing {source}, {split}", total) as advance:
            tokens = seqio_tasks.tokenized_documents(names[source], split)
            write_rows(
                rows_directory(data_dir, source, split),
                _with_provenance(read_documents(documents, split), tokens, advance),
                source=source,
                split=split,
                config=config.data,
                num_bytes=num_bytes,
                tokenizer_hash=tokenizer_hash,
                settings_hash=settings_hash(config, source),
            )
    seqio_tasks.register_mixtures(config, data_dir)


def _make_items(config: StudyConfig, data_dir: Path) -> None:
    if not (data_dir / "evals" / "manifest.json").exists():
        write_eval_items(config, data_dir)


def _with_provenance(
    documents: Iterator[Document], tokens: Iterator[np.ndarray], advance: Callable[[int], None]
) -> Iterator[TokenizedDocument]:
    for document, ids in zip(documents, tokens, strict=True):
        yield TokenizedDocument(provenance=document.provenance(), tokens=ids)
        advance(document.num_bytes)


def _write_settings(config: StudyConfig, data_dir: Path) -> None:
    path = settings_path(data_dir)
    if not path.exists():
        partial = path.with_suffix(".partial")
        with explained_errors(path):
            partial.write_text(json.dumps(study_settings(config), indent=1), encoding="utf-8")
            partial.replace(path)


@contextmanager
def _executor(num_workers: int) -> Iterator[Executor | None]:
    """Processes that read; none for one worker. Spawned: they import neither TensorFlow nor JAX."""
    if num_workers <= 1:
        yield None
        return
    executor = ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    )
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """A reading process ends with its parent, however that ends, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        console=console,
    )


@contextmanager
def _task(
    progress: Progress, description: str, num_bytes: int | None
) -> Iterator[Callable[[int], None]]:
    """A line of the progress display; yields the function that moves it on by so many bytes."""
    task = progress.add_task(description, total=num_bytes)
    yield lambda advance: progress.advance(task, advance)
    progress.update(task, total=progress.tasks[task].completed)
