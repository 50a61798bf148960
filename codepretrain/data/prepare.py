"""Prepares a study's data: documents, selection, tokenizer, rows, what evaluations need of them.

Each part is a directory that is written atomically, so a rerun resumes after the last finished part
and does nothing if all are finished.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain
from typing import Any

from etils import epath
from rich.console import Console
from rich.progress import Progress

from codepretrain.config.schema import StudyConfig
from codepretrain.data.engines.beam import BeamEngine, beam_options
from codepretrain.data.engines.engine import Engine, local_engine
from codepretrain.data.engines.workers import check_num_workers
from codepretrain.data.filters import make_filters
from codepretrain.data.filters.filter import Filter, Redactor
from codepretrain.data.inputs import check_inputs
from codepretrain.data.items.eval_items import write_eval_items
from codepretrain.data.outdated import remove_made_from_selection, remove_outdated
from codepretrain.data.packing.list_held_out import list_held_out
from codepretrain.data.packing.pack_rows import pack_rows
from codepretrain.data.prepared import PreparedData, load_prepared, summary
from codepretrain.data.progress import progress_display, progress_line
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.reader import Reader
from codepretrain.data.reading.documents import open_documents, pool_folder
from codepretrain.data.reading.documents_view import set_documents_entry
from codepretrain.data.reading.read_source import SourceReading, read_source
from codepretrain.data.selection.check import changed_benchmarks
from codepretrain.data.selection.samples import sample_bytes
from codepretrain.data.selection.scan_documents import remove_scan
from codepretrain.data.selection.select_documents import select_documents
from codepretrain.data.selection.selected import has_selection
from codepretrain.data.tokenization.tokenizer import (
    copy_tokenizer,
    save_tokenizer,
    train_tokenizer,
)
from codepretrain.files.hashing import sha256_json
from codepretrain.files.lease import exclusive
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath, is_file
from codepretrain.rows.data_dir import (
    is_prepared,
    reading_settings,
    settings_path,
    study_settings,
)
from codepretrain.rows.eval_items import has_items
from codepretrain.rows.held_out import has_held_out
from codepretrain.rows.vocabulary import has_tokenizer

Engines = Callable[[], AbstractContextManager[Engine]]
Filters = tuple[tuple[str, Filter | Redactor], ...]


def prepare(
    config: StudyConfig,
    data_dir: StrPath,
    *,
    num_workers: int,
    beam: str | None = None,
    rereads_changed: bool = False,
    console: Console | None = None,
) -> PreparedData:
    """Prepares the missing parts of the study's data.

    With `rereads_changed`, sources whose raw files changed are read again, and everything that was
    made from them or from changed evaluation sets is made again; without, changes are refused.

    Processes on this machine, `num_workers` of them, read, select and pack; or Apache Beam with the
    pipeline options `beam` (`data/engines/beam.py`). The result does not depend on them. Progress
    and a summary go to the console, by default on stderr.

    One preparation at a time uses the folder above `data_dir`, which holds what studies share;
    another one waits for it.

    Raises:
      UserError: an unknown reader, filter or option, a missing corpus or tokenizer, a folder that
        cannot be written, a full disk, or data that is damaged or of other settings.
    """
    check_num_workers(num_workers)
    engines = _engines(num_workers, beam, data_dir)
    console = console or Console(stderr=True)
    tell = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    readers, filters = _readers(config), _filters(config)
    seconds: dict[str, float] = {}
    pools = epath.Path(data_dir).parent
    with exclusive(pools, waits=True, announce=tell):
        shards = check_inputs(config, data_dir, readers, rereads_changed=rereads_changed, note=tell)
        if rereads_changed:
            changed = [*shards] if not changed_benchmarks(config, data_dir) else [*readers]
            remove_outdated(config, data_dir, changed)
        readings = _readings(config, data_dir, readers, filters, shards)
        # Training needs no selection, so `is_prepared` does not ask for it.
        if readings or not has_selection(data_dir) or not is_prepared(config, data_dir):
            with progress_display(console) as progress:
                stages: dict[str, Callable[[], None]] = {
                    "read": lambda: _read(readings, data_dir, engines, progress),
                    "select": lambda: _select(config, data_dir, engines, progress),
                    "tokenizer": lambda: _make_tokenizer(config, data_dir, progress),
                    "pack": lambda: _pack(config, data_dir, engines, progress),
                    "held out": lambda: _list_held_out(config, data_dir),
                    "items": lambda: _make_items(config, data_dir),
                }
                _write_settings(config, data_dir)
                for name, stage in stages.items():
                    start = time.monotonic()
                    stage()
                    seconds[name] = time.monotonic() - start
    prepared = load_prepared(config, data_dir, seconds=seconds)
    console.print(summary(prepared), crop=False)
    return prepared


def _engines(num_workers: int, beam: str | None, data_dir: StrPath) -> Engines:
    if beam is None:
        return lambda: local_engine(num_workers)
    engine = BeamEngine(beam_options(beam, data_dir))
    return lambda: nullcontext(engine)


def _readers(config: StudyConfig) -> dict[str, Reader]:
    sources = sorted(config.data.sources.items())
    return {source: make_reader(source, chosen) for source, chosen in sources}


def _filters(config: StudyConfig) -> dict[str, Filters]:
    return {
        source: tuple(make_filters(f"config.data.sources.{source}.filters", chosen.filters))
        for source, chosen in config.data.sources.items()
    }


def _readings(
    config: StudyConfig,
    data_dir: StrPath,
    readers: Mapping[str, Reader],
    filters: Mapping[str, Filters],
    shards: Mapping[str, Sequence[Any]],
) -> list[SourceReading]:
    """Returns what is to be read. shards: of the sources that are not read yet."""
    hashes = {source: sha256_json(reading_settings(config, source)) for source in shards}
    return [
        SourceReading(
            source=source,
            reader=readers[source],
            filters=filters[source],
            shards=found,
            folder=pool_folder(data_dir, source, hashes[source]),
            settings_hash=hashes[source],
        )
        for source, found in shards.items()
    ]


def _read(
    readings: Sequence[SourceReading], data_dir: StrPath, engines: Engines, progress: Progress
) -> None:
    """Reads the sources that are not read yet."""
    if not readings:
        return
    with engines() as engine:
        for reading in readings:
            name = f"reading {reading.source}"
            with progress_line(progress, name, reading.reader.max_bytes) as advance:
                _, entry = read_source(reading, engine, advance=advance)
            set_documents_entry(data_dir, reading.source, entry)


def _select(config: StudyConfig, data_dir: StrPath, engines: Engines, progress: Progress) -> None:
    """Selects documents of all sources together, unless that is done."""
    if has_selection(data_dir):
        remove_scan(data_dir)  # of a process that was killed just before
        return
    remove_made_from_selection(config, data_dir)
    documents = {
        source: open_documents(data_dir, source).manifest for source in config.data.sources
    }
    num_bytes = sum(manifest.num_bytes for manifest in documents.values())
    with (
        engines() as engine,
        progress_line(progress, "selecting documents", num_bytes) as advance,
    ):
        select_documents(config, data_dir, engine, advance=advance)


def _make_tokenizer(config: StudyConfig, data_dir: StrPath, progress: Progress) -> None:
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
    with progress_line(progress, "training the tokenizer", None) as advance:

        def texts() -> Iterator[str]:
            for document in chain.from_iterable(samples):
                yield document.text
                advance(document.num_bytes)

        save_tokenizer(train_tokenizer(texts(), settings), settings, data_dir)


def _pack(config: StudyConfig, data_dir: StrPath, engines: Engines, progress: Progress) -> None:
    with engines() as engine:
        pack_rows(config, data_dir, engine, progress)


def _list_held_out(config: StudyConfig, data_dir: StrPath) -> None:
    if not has_held_out(data_dir):
        list_held_out(config, data_dir)


def _make_items(config: StudyConfig, data_dir: StrPath) -> None:
    if not has_items(data_dir):
        write_eval_items(config, data_dir)


def _write_settings(config: StudyConfig, data_dir: StrPath) -> None:
    path = settings_path(data_dir)
    if not is_file(path):
        write_sealed(path, study_settings(config))
