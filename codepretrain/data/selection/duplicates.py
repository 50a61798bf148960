"""Which copies of equal and of similar texts are dropped.

Sources are given in the order of preference. Of the documents with one text, the one of the first
source is kept, and within a source the one whose group has the smallest keyed hash. Of similar
texts, those of the first source are preferred, and of these the one with the smallest keyed hash.
So it does not matter in which order the documents were read, except that of equal texts in one
group of one source the first one is kept.

Similar texts come as clusters: [m, 2] uint64, a text and the smallest text of its cluster, sorted;
only texts that are not the smallest one of their cluster.
"""

from collections.abc import Sequence

import numpy as np

from codepretrain.data.selection.components import contains, repeated_values
from codepretrain.rows.sampling import keyed_hash

Arrays = Sequence[np.ndarray]


def exact_duplicates(keys: Arrays, is_candidate: Arrays, *, across: bool) -> list[np.ndarray]:
    """Returns which documents are dropped because an equal text is kept.

    Needs about 50 bytes for each document whose text another one has, and 8 for all others.

    Args:
      keys: of each source, [num_documents], see `data/keys.py`.
      is_candidate: of each source, which documents may be kept, [num_documents] bool; others are
        neither kept nor dropped.
      across: keep one in all sources, instead of one in each source.
    """
    repeated = repeated_values([found["text"] for found in keys])
    copies = _Copies(keys, is_candidate, repeated)
    ranks = keyed_hash(copies.groups, "kept copy of a text")
    order = np.lexsort((ranks, copies.sources, copies.texts))
    is_first = _begins(copies.texts[order])
    if not across:
        is_first |= _begins(copies.sources[order])
    return copies.marked(order[~is_first])


def near_duplicates(
    keys: Arrays, is_candidate: Arrays, clusters: np.ndarray, *, across: bool
) -> list[np.ndarray]:
    """Returns which documents are dropped because a similar text is kept; see `exact_duplicates`.

    Needs about 70 bytes for each document in a cluster.
    """
    copies = _Copies(keys, is_candidate, np.unique(clusters))
    ranks = keyed_hash(copies.texts, "kept text of a cluster")
    labels = cluster_of(clusters, copies.texts)
    order = np.lexsort((ranks, copies.sources, labels))
    is_first = _begins(labels[order])
    if not across:
        is_first |= _begins(copies.sources[order])
    kept = copies.texts[order][np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    return copies.marked(order[copies.texts[order] != kept])


def cluster_of(clusters: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Returns the smallest text of each text's cluster, or the text itself: [n] uint64."""
    names = np.array(texts, np.uint64)
    is_member = contains(clusters[:, 0], names)
    names[is_member] = clusters[np.searchsorted(clusters[:, 0], names[is_member]), 1]
    return names


class _Copies:
    """The candidates whose text is in a sorted array, of all sources in order."""

    def __init__(self, keys: Arrays, is_candidate: Arrays, texts: np.ndarray) -> None:
        self._counts = [len(found) for found in keys]
        self._places = [
            np.flatnonzero(candidate & contains(texts, found["text"]))
            for found, candidate in zip(keys, is_candidate, strict=True)
        ]
        chosen = [found[places] for found, places in zip(keys, self._places, strict=True)]
        self.texts = np.concatenate([found["text"] for found in chosen])
        self.groups = np.concatenate([found["group"] for found in chosen])
        self.sources = np.repeat(np.arange(len(keys)), [len(places) for places in self._places])

    def marked(self, positions: np.ndarray) -> list[np.ndarray]:
        """Returns the copies at these positions as True, of each source: [num_documents] bool."""
        is_chosen = np.zeros(len(self.texts), bool)
        is_chosen[positions] = True
        marks = []
        start = 0
        for count, places in zip(self._counts, self._places, strict=True):
            mark = np.zeros(count, bool)
            mark[places] = is_chosen[start : start + len(places)]
            marks.append(mark)
            start += len(places)
        return marks


def _begins(values: np.ndarray) -> np.ndarray:
    """Returns whether each value differs from the one before it: [n] bool."""
    begins = np.ones(len(values), bool)
    begins[1:] = values[1:] != values[:-1]
    return begins
