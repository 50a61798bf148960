"""One document of a source, with what became of it and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.config.schema import DecontaminationConfig, StudyConfig
from codepretrain.data.decontaminate import EvaluationIndex, Match
from codepretrain.data.decontaminate.benchmarks import MissingBenchmarkError, read_benchmarks
from codepretrain.data.description.places import DROPPED, Place, find_place, is_in, place_of
from codepretrain.data.document import Document
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.components import contains
from codepretrain.data.selection.document_codes import (
    CODES,
    CONTAMINATED,
    EXACT_DUPLICATE,
    NEAR_DUPLICATE,
)
from codepretrain.data.selection.duplicates import cluster_of
from codepretrain.data.selection.links import load_clusters
from codepretrain.data.selection.scan_documents import decontamination_settings
from codepretrain.data.selection.selected import load_selection, selection_directory
from codepretrain.files.storage import StrPath


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A document and its place.

    kept: of a duplicate, the first document with the same or a similar text that each source uses.
    matches: of a contaminated document, the items of evaluation sets that it contains, as far as
    these are still there.
    """

    document: Document
    place: Place
    kept: tuple[Place, ...]
    matches: tuple[Match, ...]


def show_document(
    config: StudyConfig, data_dir: StrPath, source: str, number: int, *, split: str | None = None
) -> Shown:
    """Returns document `number` of a source.

    Args:
      split: count in this split only, or in "dropped"; None counts all documents.

    Raises:
      UserError: the source has fewer documents, or is not prepared or damaged.
    """
    cache_bytes = config.execution.row_cache_bytes
    codes = load_selection(data_dir, source, cache_bytes=cache_bytes)
    place = find_place(source, codes, number, split=split)
    documents = open_documents(data_dir, source, cache_bytes=cache_bytes)
    wanted = np.zeros(len(codes), bool)
    wanted[place.number] = True
    [document] = documents.read(wanted)
    kept: tuple[Place, ...] = ()
    matches: tuple[Match, ...] = ()
    if place.fate in (CODES[EXACT_DUPLICATE], CODES[NEAR_DUPLICATE]):
        text = documents.keys()["text"][place.number : place.number + 1]
        if place.fate == CODES[NEAR_DUPLICATE]:
            text = _similar_texts(data_dir, text)
        others = [name for name in sorted(config.data.sources) if name != source]
        kept = tuple(_used(data_dir, [source, *others], text, cache_bytes))
    if place.fate == CODES[CONTAMINATED]:
        matches = tuple(_matches(config.data.decontamination, document.text))
    return Shown(document=document, place=place, kept=kept, matches=matches)


def _matches(config: DecontaminationConfig, text: str) -> list[Match]:
    """Returns the items that a text contains; none if the evaluation sets are not there now."""
    try:
        benchmarks = read_benchmarks(config)
    except MissingBenchmarkError:
        return []
    texts = [item for benchmark in benchmarks.values() for item in benchmark.texts]
    return EvaluationIndex(texts, decontamination_settings(config)).matches(text)


def _similar_texts(data_dir: StrPath, text: np.ndarray) -> np.ndarray:
    """Returns all texts of a text's cluster, sorted: [n] uint64."""
    clusters = load_clusters(selection_directory(data_dir))
    smallest = cluster_of(clusters, text)
    return np.union1d(smallest, clusters[clusters[:, 1] == smallest, 0])


def _used(
    data_dir: StrPath, sources: Sequence[str], texts: np.ndarray, cache_bytes: int | None
) -> Iterator[Place]:
    """Yields the first document with one of these texts that each source uses."""
    for source in sources:
        codes = load_selection(data_dir, source, cache_bytes=cache_bytes)
        keys = open_documents(data_dir, source, cache_bytes=cache_bytes).keys()
        places = np.flatnonzero(contains(texts, keys["text"]) & ~is_in(codes, DROPPED))
        if len(places):
            yield place_of(source, codes, int(places[0]))
