"""One document of a source, with what became of it and why."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from codepretrain.data.document import Document
from codepretrain.data.document_codes import CODES, EXACT_DUPLICATE
from codepretrain.data.documents import SourceDocuments, open_documents
from codepretrain.data.places import DROPPED, Place, find_place, is_in, place_of
from codepretrain.data.selection import load_selection
from codepretrain.files.storage import StrPath


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A document and its place. kept: the copies that are used instead of a duplicate."""

    document: Document
    place: Place
    kept: tuple[Place, ...]


def show_document(
    data_dir: StrPath,
    sources: Iterable[str],
    source: str,
    number: int,
    *,
    split: str | None = None,
    cache_bytes: int | None = None,
) -> Shown:
    """Returns document `number` of a source.

    Args:
      sources: all of the study.
      split: count in this split only, or in "dropped"; None counts all documents.
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: the source has fewer documents, or is not prepared or damaged.
    """
    codes = load_selection(data_dir, source, cache_bytes=cache_bytes)
    place = find_place(source, codes, number, split=split)
    documents = open_documents(data_dir, source, cache_bytes=cache_bytes)
    wanted = np.zeros(len(codes), bool)
    wanted[place.number] = True
    [document] = documents.read(wanted)
    kept: tuple[Place, ...] = ()
    if place.fate == CODES[EXACT_DUPLICATE]:
        text = documents.keys()["text"][place.number]
        others = [name for name in sources if name != source]
        kept = tuple(_used_copies(data_dir, [source, *others], text, cache_bytes))
    return Shown(document=document, place=place, kept=kept)


def _used_copies(
    data_dir: StrPath, sources: Iterable[str], text: np.uint64, cache_bytes: int | None
) -> Iterable[Place]:
    """Yields the first used document with a text in each source."""
    for source in sources:
        codes = load_selection(data_dir, source, cache_bytes=cache_bytes)
        documents: SourceDocuments = open_documents(data_dir, source, cache_bytes=cache_bytes)
        copies = np.flatnonzero((documents.keys()["text"] == text) & ~is_in(codes, DROPPED))
        if len(copies):
            yield place_of(source, codes, int(copies[0]))
