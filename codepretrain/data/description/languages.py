"""Bytes and tokens of a source by language, from the provenance of the documents in its rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.rows.sampling import keyed_hash
from codepretrain.rows.store import RowStore

MAX_DOCUMENTS = 100_000  # that are examined of a source and split: about 5 seconds
MAX_LANGUAGES = 12  # listed one by one
_PURPOSE = "languages of a source"


@dataclass(frozen=True, kw_only=True)
class Language:
    """Documents of one language. name: "" if not stated; None for all languages not listed."""

    name: str | None
    num_documents: int
    num_bytes: int
    num_tokens: int


@dataclass(frozen=True, kw_only=True)
class Languages:
    """The languages of the examined documents, those with the most bytes first, the rest last.

    num_examined: of num_documents, all or a sample. num_languages: found, listed or not.
    """

    num_examined: int
    num_documents: int
    num_languages: int
    entries: tuple[Language, ...]


def source_languages(
    stores: Sequence[RowStore],
    *,
    max_documents: int = MAX_DOCUMENTS,
    max_languages: int = MAX_LANGUAGES,
) -> Languages:
    """Returns the languages of the documents in some rows.

    Args:
      stores: the splits of one source.
      max_documents: of a split with more, this many are examined, evenly distributed over it.
      max_languages: the languages with fewer bytes are one entry.

    Raises:
      UserError: a record is damaged or cannot be read.
    """
    counts: dict[str, list[int]] = {}
    num_examined = 0
    for store in stores:
        chosen = _evenly(store.manifest.num_documents, max_documents)
        num_examined += len(chosen)
        for number in chosen.tolist():
            document = store.document(number)
            count = counts.setdefault(document["language"] or "", [0, 0, 0])
            count[0] += 1
            count[1] += document["num_bytes"]
            count[2] += document["num_tokens"]
    order = sorted(counts, key=lambda name: (-counts[name][1], name))
    listed = order if len(order) <= max_languages else order[: max_languages - 1]
    entries = [_entry(name, [counts[name]]) for name in listed]
    if len(order) > len(listed):
        entries.append(_entry(None, [counts[name] for name in order[len(listed) :]]))
    return Languages(
        num_examined=num_examined,
        num_documents=sum(store.manifest.num_documents for store in stores),
        num_languages=len(order),
        entries=tuple(entries),
    )


def _entry(name: str | None, counts: Sequence[Sequence[int]]) -> Language:
    documents, num_bytes, tokens = (sum(values) for values in zip(*counts, strict=True))
    return Language(name=name, num_documents=documents, num_bytes=num_bytes, num_tokens=tokens)


def _evenly(num_items: int, max_items: int) -> np.ndarray:
    """Returns the numbers of all items, or one of each of `max_items` stretches: [n] int64.

    The place in a stretch is a keyed hash, so that no period in the order of the items matters.
    """
    if num_items <= max_items:
        return np.arange(num_items)
    edges = np.linspace(0, num_items, max_items + 1).astype(np.int64)
    widths = np.diff(edges).astype(np.uint64)
    places = keyed_hash(np.arange(max_items, dtype=np.uint64), _PURPOSE) % widths
    return edges[:-1] + places.astype(np.int64)
