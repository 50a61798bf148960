"""The second stage of preparation: which documents a study uses, and which are held out.

    documents ── parts: sketches, evaluation texts ──► clusters of similar texts, contaminated ones
    keys + clusters + contaminated ──► a code for every document (`document_codes.py`)

The keys of all documents are in memory.
"""

from collections.abc import Callable, Mapping

import numpy as np

from codepretrain.config.schema import StudyConfig
from codepretrain.data.decontaminate.benchmarks import Benchmark, read_benchmarks
from codepretrain.data.engines.engine import Engine
from codepretrain.data.reading.documents import SourceDocuments, open_documents
from codepretrain.data.selection.document_codes import CODES, TRAIN, VALIDATION, Decision, decide
from codepretrain.data.selection.same_records import same_record_joins
from codepretrain.data.selection.scan_documents import Scan, remove_scan, scan_documents
from codepretrain.data.selection.selected import (
    FORMAT_VERSION,
    BenchmarkRecord,
    SelectionManifest,
    code_counts,
    split_hashes_of,
    write_selection,
)
from codepretrain.data.selection.whole_sources import ALL_HELD_OUT
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import selection_settings


def select_documents(
    config: StudyConfig,
    data_dir: StrPath,
    engine: Engine,
    *,
    advance: Callable[[int], None] = lambda num_bytes: None,
) -> None:
    """Selects the documents of all sources of a study and writes `<data_dir>/selection/`.

    Calls `advance` with the bytes of each part that was scanned. The result depends neither on the
    engine nor on the order and the parts in which documents were read, except which of them are
    over a source's limit.

    Raises:
      UserError: a source has no training documents, an evaluation set is missing, or documents are
        damaged.
    """
    cache_bytes = config.execution.row_cache_bytes
    documents = {
        source: open_documents(data_dir, source, cache_bytes=cache_bytes)
        for source in sorted(config.data.sources)
    }
    benchmarks = read_benchmarks(config.data.decontamination)
    scan = scan_documents(
        data_dir,
        documents,
        benchmarks,
        config.data,
        engine,
        cache_bytes=cache_bytes,
        advance=advance,
    )
    keys = {source: found.keys() for source, found in documents.items()}
    within = {source: len(found) for source, found in scan.contaminated.items()}
    same_records = same_record_joins(
        {source: found["group"][: within[source]] for source, found in keys.items()},
        {source: found.inventory() for source, found in documents.items()},
    )
    joins = np.unique(np.concatenate([scan.joins, same_records]), axis=0)
    decision = decide(
        keys,
        scan.contaminated,
        scan.clusters,
        config.data.deduplication,
        fraction=config.data.validation_fraction,
        joins=joins,
        splits={source: found.split for source, found in config.data.sources.items()},
    )
    _check_sides(config, decision.codes)
    manifest = _manifest(config, documents, keys, decision, scan, benchmarks)
    write_selection(
        data_dir,
        decision.codes,
        manifest,
        scan.report,
        components=decision.components,
        clusters=scan.clusters,
        joins=joins,
    )
    remove_scan(data_dir)


def _manifest(
    config: StudyConfig,
    documents: Mapping[str, SourceDocuments],
    keys: Mapping[str, np.ndarray],
    decision: Decision,
    scan: Scan,
    benchmarks: Mapping[str, Benchmark],
) -> SelectionManifest:
    codes = {source: decision.codes[source] for source in documents}
    return SelectionManifest(
        format_version=FORMAT_VERSION,
        settings=selection_settings(config),
        documents_hashes={source: found.hash for source, found in documents.items()},
        split_hashes={
            source: split_hashes_of(codes[source], found.hash)
            for source, found in documents.items()
        },
        num_documents={
            source: code_counts(found, np.ones(len(found), np.uint8))
            for source, found in codes.items()
        },
        num_bytes={
            source: code_counts(found, keys[source]["num_bytes"]) for source, found in codes.items()
        },
        num_joins=decision.num_joins,
        num_clusters=scan.num_clusters,
        num_near_pairs=scan.num_near_pairs,
        num_components=decision.num_components,
        num_too_large=decision.num_too_large,
        benchmarks={
            name: BenchmarkRecord(
                sha256=one.sha256,
                num_files=one.num_files,
                num_items=len(one.texts),
                num_too_short=scan.num_too_short[name],
            )
            for name, one in benchmarks.items()
        },
    )


def _check_sides(config: StudyConfig, codes: Mapping[str, np.ndarray]) -> None:
    """Raises UserError for a source without documents on the side that it must have some on."""
    for source, found in sorted(codes.items()):
        is_held_out = config.data.sources[source].split == ALL_HELD_OUT
        side, name = (VALIDATION, "held-out") if is_held_out else (TRAIN, "training")
        if not (found == side).any():
            counts = code_counts(found, np.ones(len(found), np.uint8))
            others = ", ".join(
                f"{counts[name]:,} {name.replace('_', ' ')}" for name in CODES if counts[name]
            )
            raise UserError(
                f"config.data.sources.{source} has no {name} documents; its {len(found):,} "
                f"documents are: {others}; a group, such as a repository, is held out whole: add "
                "documents of other groups, or change config.data.validation_fraction, "
                "config.data.deduplication or config.data.decontamination"
            )
