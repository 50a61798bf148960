"""Scans the documents of all sources: clusters of similar texts, contaminated documents, joins.

The parts are scanned by an engine into `<data_dir>/selection-scan/`; a rerun scans the parts that
are missing. The search for similar texts takes at most 256 MiB and sorts on the local disk.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from etils import epath

from codepretrain.config.schema import DataConfig, DecontaminationConfig
from codepretrain.data.decontaminate import DecontaminationReport, DecontaminationSettings
from codepretrain.data.decontaminate.benchmarks import Benchmark
from codepretrain.data.deduplicate import DeduplicationSettings, NearDuplicateFinder
from codepretrain.data.engines.engine import Engine
from codepretrain.data.reading.documents import SourceDocuments
from codepretrain.data.selection.scan_part import (
    EvaluationFile,
    PartScan,
    load_index,
    scan_part,
    scanned_contamination,
    scanned_joins,
    scanned_sketches,
    write_evaluation_file,
)
from codepretrain.files.hashing import sha256_json
from codepretrain.files.scratch import scratch_folder
from codepretrain.files.storage import StrPath, exists, is_local, remove_tree

_MIN_WORDS = 8  # of an evaluation text that is sought, unless fewer words are an overlap


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What was found.

    clusters: of similar texts, see `data/selection/duplicates.py`. num_clusters, num_near_pairs: of
    these.
    contaminated: of each source, [num_within_limit] bool. joins: [n, 2] uint64, groups that
    documents say belong together, beyond those that share a text. report: None without evaluation
    sets. num_too_short: by evaluation set, texts with too few words to be sought.
    """

    clusters: np.ndarray
    num_clusters: int
    num_near_pairs: int
    contaminated: Mapping[str, np.ndarray]
    joins: np.ndarray
    report: DecontaminationReport | None
    num_too_short: Mapping[str, int]


def scan_documents(
    data_dir: StrPath,
    documents: Mapping[str, SourceDocuments],
    benchmarks: Mapping[str, Benchmark],
    config: DataConfig,
    engine: Engine,
    *,
    cache_bytes: int | None,
    advance: Callable[[int], None],
) -> Scan:
    """Scans all parts; calls `advance` with the bytes of each.

    The result depends neither on the engine nor on the order and the parts in which documents were
    read.

    Raises:
      UserError: a file is missing or damaged, or cannot be written.
    """
    evaluation, report, num_too_short = None, None, {}
    if benchmarks:
        texts = [text for one in benchmarks.values() for text in one.texts]
        settings = decontamination_settings(config.decontamination)
        evaluation = write_evaluation_file(scan_directory(data_dir), texts, settings)
        index = load_index(evaluation)
        report = DecontaminationReport(index.fingerprint)
        num_too_short = {name: index.too_short[name] for name in benchmarks}
    deduplication = deduplication_settings(config)
    tasks = _tasks(data_dir, documents, deduplication, evaluation, cache_bytes)
    joins = [np.empty((0, 2), np.uint64)]
    marks: dict[str, list[np.ndarray]] = {source: [] for source in documents}
    with _local_scratch(data_dir) as folder:
        finder = None if deduplication is None else NearDuplicateFinder(folder, deduplication)
        for task in engine.map(scan_part, tasks):
            found, part_report = scanned_contamination(task.directory)
            marks[task.source].append(found)
            joins.append(scanned_joins(task.directory))
            if report is not None and part_report is not None:
                report.merge(part_report)
            if finder is not None:
                for sketches in scanned_sketches(task.directory):
                    finder.add(sketches)
            advance(task.part.num_bytes)
        clusters = np.empty((0, 2), np.uint64) if finder is None else finder.clusters()
    return Scan(
        clusters=clusters,
        num_clusters=finder.counts.clusters if finder else 0,
        num_near_pairs=finder.counts.near_pairs if finder else 0,
        contaminated={source: np.concatenate(found) for source, found in marks.items()},
        joins=np.unique(np.concatenate(joins), axis=0),
        report=report,
        num_too_short=num_too_short,
    )


def scan_directory(data_dir: StrPath) -> epath.Path:
    """Returns where the results of scanned parts are until the selection is whole."""
    return epath.Path(data_dir) / "selection-scan"


def remove_scan(data_dir: StrPath) -> None:
    """Removes the results of scanned parts."""
    if exists(scan_directory(data_dir)):
        remove_tree(scan_directory(data_dir))


def decontamination_settings(config: DecontaminationConfig) -> DecontaminationSettings:
    """Returns what an overlap is."""
    return DecontaminationSettings(
        ngram_size=config.ngram_words, min_words=min(_MIN_WORDS, config.ngram_words)
    )


def deduplication_settings(config: DataConfig) -> DeduplicationSettings | None:
    """Returns what similar texts are; None if they are ignored."""
    if config.deduplication.near == "ignore":
        return None
    return DeduplicationSettings(threshold=config.deduplication.min_similarity)


def _tasks(
    data_dir: StrPath,
    documents: Mapping[str, SourceDocuments],
    deduplication: DeduplicationSettings | None,
    evaluation: EvaluationFile | None,
    cache_bytes: int | None,
) -> Iterator[PartScan]:
    """Yields a task for every part, each with a directory named by all that its result depends on.

    Keys of the parts are unique in a source only.
    """
    settings = {
        "deduplication": deduplication and dataclasses.asdict(deduplication),
        "evaluation": evaluation and [evaluation.sha256, dataclasses.asdict(evaluation.settings)],
    }
    for source, found in documents.items():
        rest = found.num_within_limit
        for part in found.manifest.parts:
            num_documents = min(rest, part.num_documents)
            rest -= num_documents
            identity = {"part": part.sha256, "num_documents": num_documents, **settings}
            name = f"{source}-{part.key[:16]}-{sha256_json(identity)[:16]}"
            yield PartScan(
                source=source,
                folder=str(found.part_folder(part)),
                part=part,
                num_documents=num_documents,
                directory=str(scan_directory(data_dir) / name),
                deduplication=deduplication,
                evaluation=evaluation,
                cache_bytes=cache_bytes,
            )


def _local_scratch(data_dir: StrPath) -> AbstractContextManager[Path]:
    """Returns a folder for sorting: beside local data, else in the system's temporary directory."""
    if is_local(data_dir):
        return scratch_folder(Path(data_dir), "similar-texts")
    name = sha256_json({"sorting for": str(data_dir)})[:16]
    return scratch_folder(Path(tempfile.gettempdir()), name)
