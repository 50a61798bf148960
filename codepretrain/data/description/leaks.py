"""Counts what is on both sides of the split, from the keys of the documents that are used.

A split without leaks has no group, no text, no two similar texts and no two groups that a document
joins of which one is trained on and the other held out, in whichever sources they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from codepretrain.data.selection.components import contains
from codepretrain.data.selection.document_codes import TRAIN, VALIDATION
from codepretrain.data.selection.duplicates import cluster_of


@dataclass(frozen=True, kw_only=True)
class SplitProof:
    """How many distinct groups, texts and clusters are used, and how many are on both sides.

    num_clusters: of similar texts, a text without any being a cluster of its own; None, like
    clusters_held_out and clusters_on_both_sides, if similar texts were not searched.
    num_joined: pairs of different groups that a document joins, both used. *_held_out: those of
    held-out documents, of pairs both.
    """

    num_groups: int
    num_texts: int
    num_clusters: int | None
    num_joined: int
    groups_held_out: int
    texts_held_out: int
    clusters_held_out: int | None
    joined_held_out: int
    groups_on_both_sides: int
    texts_on_both_sides: int
    clusters_on_both_sides: int | None
    joined_on_both_sides: int

    @property
    def holds(self) -> bool:
        """Returns whether nothing is on both sides."""
        return not any(
            (
                self.groups_on_both_sides,
                self.texts_on_both_sides,
                self.clusters_on_both_sides,
                self.joined_on_both_sides,
            )
        )


def split_proof(
    keys: Mapping[str, np.ndarray],
    codes: Mapping[str, np.ndarray],
    clusters: np.ndarray | None,
    joins: np.ndarray,
) -> SplitProof:
    """Returns what is on both sides of the split.

    Args:
      keys, codes, clusters: see `source_overlap`.
      joins: pairs of groups that a document joins, [n, 2] uint64.
    """
    train = [found[codes[source] == TRAIN] for source, found in keys.items()]
    held_out = [found[codes[source] == VALIDATION] for source, found in keys.items()]
    sides = _distinct(k["group"] for k in train), _distinct(k["group"] for k in held_out)
    groups, joined = _count(*sides), _count_pairs(*sides, joins)
    sides = _distinct(k["text"] for k in train), _distinct(k["text"] for k in held_out)
    texts = _count(*sides)
    similar: tuple[int | None, ...] = (None, None, None)
    if clusters is not None:
        similar = _count(*(np.unique(cluster_of(clusters, side)) for side in sides))
    return SplitProof(
        num_groups=groups[0],
        num_texts=texts[0],
        num_clusters=similar[0],
        num_joined=joined[0],
        groups_held_out=groups[1],
        texts_held_out=texts[1],
        clusters_held_out=similar[1],
        joined_held_out=joined[1],
        groups_on_both_sides=groups[2],
        texts_on_both_sides=texts[2],
        clusters_on_both_sides=similar[2],
        joined_on_both_sides=joined[2],
    )


def _distinct(values: Iterable[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([np.empty(0, np.uint64), *values]))


def _count(train: np.ndarray, held_out: np.ndarray) -> tuple[int, int, int]:
    """Returns how many distinct values there are, are held out, and are on both sides."""
    num_both = len(np.intersect1d(train, held_out, assume_unique=True))
    return len(train) + len(held_out) - num_both, len(held_out), num_both


def _count_pairs(
    train: np.ndarray, held_out: np.ndarray, joins: np.ndarray
) -> tuple[int, int, int]:
    """Returns how many pairs are used, are held out, and have one group on each side."""
    joins = joins[joins[:, 0] != joins[:, 1]]
    is_train, is_held_out = (
        contains(side, joins.ravel()).reshape(joins.shape) for side in (train, held_out)
    )
    is_used = (is_train | is_held_out).all(1)
    one_each = (is_train & is_held_out[:, ::-1]).any(1)
    return int(is_used.sum()), int((is_used & is_held_out.all(1)).sum()), int(one_each.sum())
