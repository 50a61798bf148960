"""Documents of rows counted by a field of their provenance: a language, a license."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.rows.sampling import keyed_hash
from codepretrain.rows.store import RowStore

MAX_DOCUMENTS = 100_000  # that are examined of a source and split: about 5 seconds
_PURPOSE = "languages of a source"  # of every field: the same documents are examined


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Documents of one value of the field."""

    num_documents: int = 0
    num_bytes: int = 0
    num_tokens: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            num_documents=self.num_documents + other.num_documents,
            num_bytes=self.num_bytes + other.num_bytes,
            num_tokens=self.num_tokens + other.num_tokens,
        )


@dataclass(frozen=True, kw_only=True)
class Tallies:
    """The examined documents by value, those with the most bytes first; "" if it is not stated.

    num_examined: of num_documents, all or a sample.
    """

    num_examined: int
    num_documents: int
    by_value: dict[str, Tally]


def tally_documents(
    stores: Sequence[RowStore], field: str, *, max_documents: int = MAX_DOCUMENTS
) -> Tallies:
    """Returns the documents in some rows by the value of a field of `RowStore.document`.

    Args:
      stores: splits of one source.
      max_documents: of a split with more, this many are examined, evenly distributed over it.

    Raises:
      UserError: a record is damaged or cannot be read.
    """
    found: dict[str, Tally] = {}
    num_examined = 0
    for store in stores:
        chosen = _evenly(store.manifest.num_documents, max_documents)
        num_examined += len(chosen)
        for number in chosen.tolist():
            document = store.document(number)
            one = Tally(
                num_documents=1,
                num_bytes=document["num_bytes"],
                num_tokens=document["num_tokens"],
            )
            value = document[field] or ""
            found[value] = found.get(value, Tally()) + one
    order = sorted(found, key=lambda value: (-found[value].num_bytes, value))
    return Tallies(
        num_examined=num_examined,
        num_documents=sum(store.manifest.num_documents for store in stores),
        by_value={value: found[value] for value in order},
    )


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
