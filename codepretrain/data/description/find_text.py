"""Documents of a study that contain a text, exactly."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.data.description.places import Place, is_in, place_of
from codepretrain.data.document import Document
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.selected import load_selection
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath

_CONTEXT = 60  # characters on either side of a hit


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A document that contains the text.

    offset: of its first occurrence, in UTF-8 bytes. line: of the same, from 1. count: occurrences
    that do not overlap. before, after: up to 60 characters around the first occurrence.
    """

    document: Document
    place: Place
    offset: int
    line: int
    count: int
    before: str
    after: str


def find_text(
    data_dir: StrPath,
    sources: Sequence[str],
    text: str,
    *,
    split: str | None = None,
    cache_bytes: int | None = None,
    advance: Callable[[int], None] = lambda num_bytes: None,
) -> Iterator[Hit]:
    """Yields the documents that contain `text`, source by source in reading order.

    Reads the documents as a stream: few are in memory at a time, and one code for each of a source.

    Args:
      split: search this split only, or "dropped"; None searches all documents that were kept by
        the filters.
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.
      advance: called with the UTF-8 bytes of each document that was searched.

    Raises:
      UserError: `text` is empty, or a source is not prepared or damaged.
    """
    if not text:
        raise UserError("TEXT: expected at least one character, got ''")
    for source in sources:
        codes = load_selection(data_dir, source, cache_bytes=cache_bytes)
        wanted = np.ones(len(codes), bool) if split is None else is_in(codes, split)
        documents = open_documents(data_dir, source, cache_bytes=cache_bytes).read(wanted)
        for number, document in zip(np.flatnonzero(wanted).tolist(), documents, strict=True):
            if text in document.text:
                yield _hit(document, place_of(source, codes, number), text)
            advance(len(document.text.encode()))


def num_bytes_to_search(data_dir: StrPath, sources: Sequence[str]) -> int:
    """Returns the UTF-8 bytes of all documents of some sources, for a display of progress.

    Raises:
      UserError: a source is not prepared or damaged.
    """
    return sum(open_documents(data_dir, source).manifest.num_bytes for source in sources)


def _hit(document: Document, place: Place, text: str) -> Hit:
    start = document.text.index(text)
    end = start + len(text)
    before = document.text[:start]
    return Hit(
        document=document,
        place=place,
        offset=len(before.encode()),
        line=before.count("\n") + 1,
        count=document.text.count(text),
        before=before[-_CONTEXT:],
        after=document.text[end : end + _CONTEXT],
    )
