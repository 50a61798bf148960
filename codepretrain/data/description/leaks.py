"""Counts what is on both sides of the split, from the keys of the documents that are used.

A split without leaks has no group, no text and no two similar texts of which one is trained on and
the other held out, in whichever sources they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.data.document_codes import TRAIN, VALIDATION
from codepretrain.data.duplicates import cluster_of


@dataclass(frozen=True, kw_only=True)
class SplitProof:
    """How many distinct groups, texts and clusters are used, and how many are on both sides.

    num_clusters: of similar texts, a text without any being a cluster of its own; None, like
    clusters_held_out and clusters_on_both_sides, if similar texts were not searched.
    groups_held_out, texts_held_out, clusters_held_out: distinct ones of held-out documents.
    """

    num_groups: int
    num_texts: int
    num_clusters: int | None
    groups_held_out: int
    texts_held_out: int
    clusters_held_out: int | None
    groups_on_both_sides: int
    texts_on_both_sides: int
    clusters_on_both_sides: int | None

    @property
    def holds(self) -> bool:
        """Returns whether nothing is on both sides."""
        return not (
            self.groups_on_both_sides or self.texts_on_both_sides or self.clusters_on_both_sides
        )


def split_proof(
    keys: Mapping[str, np.ndarray], codes: Mapping[str, np.ndarray], clusters: np.ndarray | None
) -> SplitProof:
    """Returns what is on both sides of the split; arguments of `source_overlap`."""
    train = [found[codes[source] == TRAIN] for source, found in keys.items()]
    held_out = [found[codes[source] == VALIDATION] for source, found in keys.items()]
    groups = _sides([k["group"] for k in train], [k["group"] for k in held_out])
    texts = _sides([k["text"] for k in train], [k["text"] for k in held_out])
    of_clusters: tuple[int, int, int] | None = None
    if clusters is not None:
        of_clusters = _sides(
            [cluster_of(clusters, k["text"]) for k in train],
            [cluster_of(clusters, k["text"]) for k in held_out],
        )
    return SplitProof(
        num_groups=groups[0],
        num_texts=texts[0],
        num_clusters=of_clusters[0] if of_clusters else None,
        groups_held_out=groups[1],
        texts_held_out=texts[1],
        clusters_held_out=of_clusters[1] if of_clusters else None,
        groups_on_both_sides=groups[2],
        texts_on_both_sides=texts[2],
        clusters_on_both_sides=of_clusters[2] if of_clusters else None,
    )


def _sides(train: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> tuple[int, int, int]:
    """Returns how many distinct values there are, are held out, and are on both sides."""
    one, other = (
        np.unique(np.concatenate([np.empty(0, np.uint64), *side])) for side in (train, held_out)
    )
    num_both = len(np.intersect1d(one, other, assume_unique=True))
    return len(one) + len(other) - num_both, len(other), num_both
