"""Joins groups of documents that must follow one split into components.

A join is a pair of group keys. Components are those of the graph whose edges are the joins; each is
named by the smallest key in it, so the result depends neither on the order of the joins nor on that
of the documents.
"""

from collections.abc import Sequence

import numpy as np


def exact_joins(keys: Sequence[np.ndarray]) -> np.ndarray:
    """Returns joins of all groups, of all sources, that share a text: [m, 2] uint64.

    Beside the keys it needs about 16 bytes a document.

    Args:
      keys: of each source, duplicates included; see `data/keys.py`.
    """
    texts = np.concatenate([found["text"] for found in keys])
    texts.sort()
    repeated = np.unique(texts[1:][texts[1:] == texts[:-1]])
    del texts
    shared = np.concatenate([found[_contains(repeated, found["text"])] for found in keys])
    shared = shared[np.argsort(shared["text"], kind="stable")]
    is_same = shared["text"][1:] == shared["text"][:-1]
    groups = shared["group"]
    joins = np.stack([groups[:-1][is_same], groups[1:][is_same]], axis=1)
    return joins[joins[:, 0] != joins[:, 1]]


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
        is_joined = _contains(self._keys, names)
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


def _contains(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns whether each value is in a sorted array: [n] bool."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return ordered[places] == values
