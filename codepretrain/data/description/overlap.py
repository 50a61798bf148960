"""What two sources share: texts, groups and clusters of similar texts, before and after selection.

Everything is counted by 64-bit keys (`data/keys.py`), once for each distinct key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from codepretrain.data.selection.components import contains, repeated_values
from codepretrain.data.selection.document_codes import OVER_LIMIT, TRAIN, VALIDATION
from codepretrain.data.selection.duplicates import cluster_of


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Distinct texts, their bytes, groups and clusters that occur in both of two sources.

    num_clusters: clusters of similar texts, shared texts included; None if none were searched.
    """

    num_texts: int
    num_bytes: int
    num_groups: int
    num_clusters: int | None


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Of each pair of sources: what they share as read, and what is shared in rows.

    totals: the same of each source alone, as read: its distinct texts, groups and clusters.
    """

    sources: tuple[str, ...]
    read: Mapping[tuple[str, str], Shared]
    used: Mapping[tuple[str, str], Shared]
    totals: Mapping[str, Shared]


def source_overlap(
    keys: Mapping[str, np.ndarray], codes: Mapping[str, np.ndarray], clusters: np.ndarray | None
) -> Overlap:
    """Returns what the sources share. Needs about 75 bytes a document beside the arguments.

    Args:
      keys: of each source, [num_documents], see `data/keys.py`.
      codes: of each source, [num_documents] uint8, see `data/selection/document_codes.py`.
      clusters: of similar texts, see `data/selection/duplicates.py`; None if not searched.
    """
    read = {s: found[codes[s] != OVER_LIMIT] for s, found in keys.items()}
    used = {s: found[(codes[s] == TRAIN) | (codes[s] == VALIDATION)] for s, found in keys.items()}
    return Overlap(
        sources=tuple(keys),
        read=_pairs(read, clusters),
        used=_pairs(used, clusters),
        totals={source: _distinct(found, clusters) for source, found in read.items()},
    )


def _pairs(
    keys: Mapping[str, np.ndarray], clusters: np.ndarray | None
) -> dict[tuple[str, str], Shared]:
    pairs = list(combinations(keys, 2))
    texts = {source: np.unique(found["text"]) for source, found in keys.items()}
    shared, is_in = _shared(texts)
    sizes = _sizes(shared, keys)
    num_groups = _num_shared({s: found["group"] for s, found in keys.items()})
    num_clusters: Mapping[tuple[str, str], int | None] = dict.fromkeys(pairs)
    if clusters is not None:
        num_clusters = _num_shared({s: cluster_of(clusters, found) for s, found in texts.items()})
    found = {}
    for one, other in pairs:
        both = is_in[one] & is_in[other]
        found[one, other] = Shared(
            num_texts=int(both.sum()),
            num_bytes=int(sizes[both].sum()),
            num_groups=num_groups[one, other],
            num_clusters=num_clusters[one, other],
        )
    return found


def _distinct(keys: np.ndarray, clusters: np.ndarray | None) -> Shared:
    texts, first = np.unique(keys["text"], return_index=True)
    return Shared(
        num_texts=len(texts),
        num_bytes=int(keys["num_bytes"][first].sum(dtype=np.int64)),
        num_groups=len(np.unique(keys["group"])),
        num_clusters=None if clusters is None else len(np.unique(cluster_of(clusters, texts))),
    )


def _num_shared(values: Mapping[str, np.ndarray]) -> dict[tuple[str, str], int]:
    """Returns how many distinct values each pair of sources has in common."""
    _, is_in = _shared({source: np.unique(found) for source, found in values.items()})
    return {
        (one, other): int((is_in[one] & is_in[other]).sum())
        for one, other in combinations(values, 2)
    }


def _shared(values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the values that several sources have, sorted, and which of them each source has.

    values: of each source, sorted and distinct.
    """
    shared = repeated_values(list(values.values())) if values else np.empty(0, np.uint64)
    return shared, {source: contains(found, shared) for source, found in values.items()}


def _sizes(texts: np.ndarray, keys: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the bytes of each text: [n] int64."""
    sizes = np.zeros(len(texts), np.int64)
    for found in keys.values():
        chosen = found[contains(texts, found["text"])]
        sizes[np.searchsorted(texts, chosen["text"])] = chosen["num_bytes"]
    return sizes
