"""Joins groups of documents that must follow one split into components.

A join is a pair of group keys. Components are those of the graph whose edges are the joins; each is
named by the smallest key in it, so the result depends neither on the order of the joins nor on that
of the documents.
"""

from collections.abc import Sequence

import numpy as np


def joins_of(texts: Sequence[np.ndarray], groups: Sequence[np.ndarray]) -> np.ndarray:
    """Returns joins of all groups, of all sources, that share a text: [m, 2] uint64.

    Needs about 16 bytes a document.

    Args:
      texts: of each source, the key of each document's text, or of a cluster of similar texts:
        [num_documents] uint64.
      groups: the key of each document's group, alike.
    """
    repeated = repeated_values(texts)
    chosen = [contains(repeated, found) for found in texts]
    shared, owners = (
        np.concatenate([found[places] for found, places in zip(values, chosen, strict=True)])
        for values in (texts, groups)
    )
    order = np.argsort(shared, kind="stable")
    is_same = shared[order][1:] == shared[order][:-1]
    owners = owners[order]
    joins = np.stack([owners[:-1][is_same], owners[1:][is_same]], axis=1)
    return joins[joins[:, 0] != joins[:, 1]]


def repeated_values(values: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the values that occur more than once in all arrays together, sorted: [n] uint64."""
    every = np.concatenate(values)
    every.sort()
    return np.unique(every[1:][every[1:] == every[:-1]])


class Components:
    """Component of every group key. Only keys that occur in a join take memory."""

    def __init__(self, joins: np.ndarray) -> None:
        """joins: [m, 2] uint64."""
        self._keys = np.unique(joins)
        left, right = (np.searchsorted(self._keys, joins[:, side]) for side in (0, 1))
        self._root = _roots(left, right, len(self._keys))

    def of(self, groups: np.ndarray) -> np.ndarray:
        """Returns the component of each group key, named by its smallest key: [n] uint64."""
        names = np.array(groups, np.uint64)
        is_joined = contains(self._keys, names)
        places = np.searchsorted(self._keys, names[is_joined])
        names[is_joined] = self._keys[self._root[places]]
        return names


def _roots(left: np.ndarray, right: np.ndarray, num_nodes: int) -> np.ndarray:
    """Returns the smallest node connected with each: [num_nodes] int64.

    In every round the larger root of an edge points to the smaller one, then all paths are
    shortened; roots only decrease, so it ends.
    """
    root = np.arange(num_nodes)
    while True:
        one, other = root[left], root[right]
        if np.array_equal(one, other):
            return root
        lower = np.minimum(one, other)
        np.minimum.at(root, one, lower)
        np.minimum.at(root, other, lower)
        while not np.array_equal(shorter := root[root], root):
            root = shorter


def contains(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns whether each value is in a sorted array: [n] bool."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return ordered[places] == values
