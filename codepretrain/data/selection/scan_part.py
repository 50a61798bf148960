"""What is found in the documents of a part: sketches, evaluation texts, and joins of groups.

    <directory>/
        sketches-00000.npy, …    [sketches, sketch_width] uint8, of distinct texts of the part
        contaminated.npy         [num_documents] bool
        joins.npy                [joins, 2] uint64: groups that documents join (`data/keys.py`)
        contamination.json       the part's DecontaminationReport, if there are evaluation texts
        files.json               size and hash of every file, written last

A part is read once for all. The results are removed when the selection is whole.
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from etils import epath

from codepretrain.data.decontaminate import (
    DecontaminationReport,
    DecontaminationSettings,
    EvaluationIndex,
    EvaluationText,
)
from codepretrain.data.deduplicate import DeduplicationSettings, sketch
from codepretrain.data.document import Document
from codepretrain.data.keys import group_joins
from codepretrain.data.reading.document_parts import (
    DocumentsPart,
    load_part_keys,
    read_part_documents,
)
from codepretrain.files.atomic import write_json, write_text
from codepretrain.files.directory import is_whole, whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.storage import StrPath, names, read_bytes, read_json, read_text
from codepretrain.rows.verify import check_folder

CONTAMINATED, JOINS, REPORT = "contaminated.npy", "joins.npy", "contamination.json"
_SKETCHES = "sketches"
_BATCH = 64  # texts that are sketched together
_BATCHES_PER_FILE = 256


@dataclass(frozen=True, kw_only=True)
class EvaluationFile:
    """Evaluation texts in one file, which every worker reads. sha256: of the file."""

    path: str
    sha256: str
    settings: DecontaminationSettings


@dataclass(frozen=True, kw_only=True)
class PartScan:
    """A task. part: in `folder`. num_documents: the leading ones that are within the limit.

    directory: of the result. deduplication: None for no sketches. evaluation: None for no
    evaluation texts.
    """

    source: str
    folder: str
    part: DocumentsPart
    num_documents: int
    directory: str
    deduplication: DeduplicationSettings | None
    evaluation: EvaluationFile | None
    cache_bytes: int | None


def scan_part(task: PartScan) -> PartScan:
    """Writes what is found in a part, unless that is done; returns the task.

    Raises:
      UserError: a file is missing or damaged, or the directory cannot be written.
    """
    if not is_whole(task.directory):
        with whole_directory(task.directory) as folder:
            _scan(task, folder)
    return task


def scanned_sketches(directory: StrPath) -> Iterator[np.ndarray]:
    """Yields the sketches of a part, a file at a time.

    Raises:
      UserError: a file is missing or truncated.
    """
    check_folder(directory, "scanned part", reads_contents=False)
    for name in names(directory):
        if name.startswith(_SKETCHES):
            yield _load(epath.Path(directory) / name)


def scanned_contamination(
    directory: StrPath,
) -> tuple[np.ndarray, DecontaminationReport | None]:
    """Returns which documents contain evaluation texts, and the report if these were sought.

    Raises:
      UserError: a file is missing or truncated.
    """
    files = check_folder(directory, "scanned part", reads_contents=False)
    marks = _load(epath.Path(directory) / CONTAMINATED)
    if REPORT not in files:
        return marks, None
    return marks, DecontaminationReport.from_json(read_json(epath.Path(directory) / REPORT))


def scanned_joins(directory: StrPath) -> np.ndarray:
    """Returns the pairs of groups that documents of a part join, each once: [n, 2] uint64.

    Raises:
      UserError: a file is missing or truncated.
    """
    check_folder(directory, "scanned part", reads_contents=False)
    return _load(epath.Path(directory) / JOINS)


def write_evaluation_file(
    folder: StrPath, texts: Iterable[EvaluationText], settings: DecontaminationSettings
) -> EvaluationFile:
    """Writes evaluation texts for the workers, in a file named by its hash."""
    lines = [json.dumps([text.benchmark, text.item, text.text]) + "\n" for text in texts]
    content = "".join(lines)
    sha256 = sha256_bytes(content.encode())
    path = epath.Path(folder) / f"evaluation-{sha256[:12]}.jsonl"
    write_text(path, content)
    return EvaluationFile(path=str(path), sha256=sha256, settings=settings)


@lru_cache(maxsize=1)
def load_index(file: EvaluationFile) -> EvaluationIndex:
    """Returns the index of a file of evaluation texts. A process builds it once."""
    lines = read_text(file.path).splitlines()
    return EvaluationIndex((EvaluationText(*json.loads(line)) for line in lines), file.settings)


def _scan(task: PartScan, folder: Path) -> None:
    index = None if task.evaluation is None else load_index(task.evaluation)
    report = None if index is None else DecontaminationReport(index.fingerprint)
    contaminated = np.zeros(task.num_documents, bool)
    keys = load_part_keys(task.folder, task.part, cache_bytes=task.cache_bytes)["text"]
    writer = _SketchWriter(folder, task.deduplication)
    is_first = _firsts(keys[: task.num_documents])
    joins: set[tuple[int, int]] = set()
    for place, document in enumerate(_read(task)):
        joins.update(group_joins(document))
        if index is not None and (matches := index.matches(document.text)):
            assert report is not None
            contaminated[place] = True
            report.add(document, matches)
        if is_first[place]:
            writer.add(int(keys[place]), document.text)
    writer.finish()
    arrays = {CONTAMINATED: contaminated, JOINS: np.array(sorted(joins), np.uint64).reshape(-1, 2)}
    for name, values in arrays.items():
        with explained("write", folder / name):
            np.save(folder / name, values)
    if report is not None:
        write_json(folder / REPORT, report.to_json())


def _read(task: PartScan) -> Iterator[Document]:
    """Yields the documents that are within the limit."""
    if not task.num_documents:
        return iter(())
    return read_part_documents(
        task.folder,
        task.part,
        source=task.source,
        wanted=np.arange(task.part.num_documents) < task.num_documents,
        cache_bytes=task.cache_bytes,
    )


class _SketchWriter:
    """Writes sketches to numbered files. Does nothing without settings."""

    def __init__(self, folder: Path, settings: DeduplicationSettings | None) -> None:
        self._folder = folder
        self._settings = settings
        self._texts: list[tuple[int, str]] = []
        self._batches: list[np.ndarray] = []
        self._num_files = 0

    def add(self, key: int, text: str) -> None:
        if self._settings is None:
            return
        self._texts.append((key, text))
        if len(self._texts) == _BATCH:
            self._batches.append(sketch(self._texts, self._settings))
            self._texts = []
            if len(self._batches) == _BATCHES_PER_FILE:
                self._save()

    def finish(self) -> None:
        if self._settings is not None:
            self._batches.append(sketch(self._texts, self._settings))
            self._save()

    def _save(self) -> None:
        path = self._folder / f"{_SKETCHES}-{self._num_files:05}.npy"
        with explained("write", path):
            np.save(path, np.concatenate(self._batches))
        self._batches = []
        self._num_files += 1


def _firsts(values: np.ndarray) -> np.ndarray:
    """Returns whether each value occurs for the first time: [n] bool."""
    is_first = np.zeros(len(values), bool)
    is_first[np.unique(values, return_index=True)[1]] = True
    return is_first


def _load(path: StrPath) -> np.ndarray:
    return np.load(io.BytesIO(read_bytes(path)))
