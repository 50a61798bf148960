"""Packs all sources and splits of a study, part by part; folders that are whole are kept.

The parts of all sources are packed by one engine. When all parts of a source and split are whole,
they are joined. `rows.json`, written last, makes the result the study's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from etils import epath
from rich.progress import Progress

from codepretrain.config.schema import StudyConfig
from codepretrain.data.engines.engine import Engine
from codepretrain.data.packing.join_parts import MadeFrom, join_parts
from codepretrain.data.packing.pack_part import PartTask, pack_part
from codepretrain.data.prepared import check_documents
from codepretrain.data.progress import progress_line
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.check import check_selection
from codepretrain.data.selection.selected import load_split
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import current_tokenizer, rows_identity, settings_hash
from codepretrain.rows.folders import RowsFolder, rows_pool, save_folders
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import has_rows, load_manifest
from codepretrain.rows.vocabulary import load_vocabulary

_HEX = 12  # digits of the identity in the name of a folder


@dataclass(frozen=True, kw_only=True)
class PlannedRows:
    """One source and split: what its rows are made from, where they will be, and its parts."""

    made_from: MadeFrom
    directory: epath.Path
    tasks: tuple[PartTask, ...]


def pack_rows(config: StudyConfig, data_dir: StrPath, engine: Engine, progress: Progress) -> None:
    """Packs what is missing, and lists the study's rows in `rows.json`.

    Raises:
      UserError: documents, selection or tokenizer are damaged or do not belong together, rows that
        are there are damaged, the tokenizer is not lossless, or the disk is full.
    """
    inputs = find_inputs(config, data_dir)
    folders = {
        key: RowsFolder(
            folder=f"{key[0]}-{key[1]}-{made_from.identity[:_HEX]}",
            identity=made_from.identity,
            settings_hash=settings_hash(config, key[0]),
        )
        for key, made_from in inputs.items()
    }
    missing = {}
    for key, entry in folders.items():
        directory = rows_pool(data_dir) / entry.folder
        if has_rows(directory):
            load_manifest(directory, source=key[0], split=key[1])
        else:
            missing[key] = directory
    planned = [
        plan_parts(config, data_dir, inputs[key], directory) for key, directory in missing.items()
    ]
    _pack(config, data_dir, planned, engine, progress)
    save_folders(data_dir, folders)


def find_inputs(config: StudyConfig, data_dir: StrPath) -> Mapping[tuple[str, str], MadeFrom]:
    """Returns what the rows of each source and split are to be made from."""
    sources = sorted(config.data.sources)
    documents = {source: check_documents(config, data_dir, source) for source in sources}
    hashes = check_selection(config, data_dir, documents).split_hashes
    tokenizer = current_tokenizer(config, data_dir)
    return {
        (source, split): MadeFrom(
            source=source,
            split=split,
            identity=rows_identity(
                config,
                split=split,
                documents_hash=hashes[source][split],
                tokenizer=tokenizer,
            ),
            documents_hash=hashes[source][split],
            tokenizer_hash=tokenizer[0],
            vocabulary_hash=tokenizer[1],
        )
        for source in sources
        for split in SPLITS
    }


def plan_parts(
    config: StudyConfig, data_dir: StrPath, made_from: MadeFrom, directory: epath.Path
) -> PlannedRows:
    """Returns the parts of one source and split. Reads which documents it has, and their sizes.

    Args:
      directory: where the rows will be.
    """
    source, cache_bytes = made_from.source, config.execution.row_cache_bytes
    members = load_split(data_dir, source=source, split=made_from.split, cache_bytes=cache_bytes)
    keys = open_documents(data_dir, source, cache_bytes=cache_bytes).keys()
    documents = np.flatnonzero(members)
    sizes = keys["num_bytes"][documents].astype(np.int64)
    tasks = []
    for number, (first, last) in enumerate(part_limits(sizes, config.data.part_bytes)):
        start, stop = int(documents[first]), int(documents[last - 1]) + 1
        tasks.append(
            PartTask(
                data_dir=str(data_dir),
                source=source,
                directory=str(directory),
                identity=made_from.identity,
                number=number,
                start=start,
                stop=stop,
                members=np.packbits(members[start:stop]),
                num_documents=last - first,
                num_bytes=int(sizes[first:last].sum()),
                packing=config.data.packing,
                max_seq_len=config.data.max_seq_len,
                bos_token=config.data.tokenizer.bos_token,
                eos_token=config.data.tokenizer.eos_token,
                vocab_size=config.data.tokenizer.vocab_size,
                tokenizer_hash=made_from.tokenizer_hash,
                cache_bytes=cache_bytes,
            )
        )
    return PlannedRows(made_from=made_from, directory=directory, tasks=tuple(tasks))


def part_limits(sizes: np.ndarray, part_bytes: int) -> Iterator[tuple[int, int]]:
    """Yields the first document of each part and the one after its last.

    A part ends with the document that brings it to `part_bytes`.

    Args:
      sizes: [n] int64, bytes of each document.
    """
    through = np.cumsum(sizes)
    first, before = 0, 0
    while first < len(sizes):
        last = min(int(np.searchsorted(through, before + part_bytes)) + 1, len(sizes))
        yield first, last
        first, before = last, int(through[last - 1])


def _pack(
    config: StudyConfig,
    data_dir: StrPath,
    planned: list[PlannedRows],
    engine: Engine,
    progress: Progress,
) -> None:
    tasks = [task for rows in planned for task in rows.tasks]
    summaries = engine.map(pack_part, tasks)
    vocab_size = len(load_vocabulary(data_dir))
    for rows in planned:
        made_from = rows.made_from
        total = sum(task.num_bytes for task in rows.tasks)
        name = f"packing {made_from.source}, {made_from.split}"
        parts = []
        with progress_line(progress, name, total) as advance:
            for part in islice(summaries, len(rows.tasks)):
                parts.append(part)
                advance(part.num_bytes)
        join_parts(
            rows.directory,
            parts,
            made_from=made_from,
            packing=config.data.packing,
            max_seq_len=config.data.max_seq_len,
            vocab_size=vocab_size,
        )
