"""Which documents are held out: by group, the same in every source.

Groups that share a text, exactly or nearly, are joined into components (`components.py`). A keyed
hash of its component decides whether a document is held out. So no group and no text is in the
training rows of one source and in the held-out rows of another, and the split does not depend on
the order in which documents were read.

A component with more documents than the held-out share of the study is trained on: it could only be
held out instead of everything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.data.selection.components import Components, contains
from codepretrain.rows.sampling import keyed_hash

# Components of up to this many documents may be held out, however small the study is.
_ALWAYS_SMALL = 100


@dataclass(frozen=True)
class Split:
    """held_out: of each source, [num_documents] bool.

    components: of each source, the component of each held-out document, in order: [num_held_out]
    uint64. num_components: groups, joined groups counted once. num_too_large: documents that are
    trained on because their component is too large to hold out.
    """

    held_out: Sequence[np.ndarray]
    components: Sequence[np.ndarray]
    num_components: int
    num_too_large: int


def split_groups(groups: Sequence[np.ndarray], joins: np.ndarray, fraction: float) -> Split:
    """Returns the split of the documents that are kept.

    Args:
      groups: of each source, the group keys of its documents, [num_documents] uint64.
      joins: pairs of group keys that follow one split, [m, 2] uint64; also of other documents.
      fraction: expected share of components that are held out.
    """
    of = Components(joins).of
    components = [of(found) for found in groups]
    too_large, num_components = _sizes(components, fraction)
    is_large = [contains(too_large, found) for found in components]
    held_out = [
        is_held_out(found, fraction) & ~large
        for found, large in zip(components, is_large, strict=True)
    ]
    return Split(
        held_out=held_out,
        components=[found[chosen] for found, chosen in zip(components, held_out, strict=True)],
        num_components=num_components,
        num_too_large=int(sum(large.sum() for large in is_large)),
    )


def is_held_out(components: np.ndarray, fraction: float) -> np.ndarray:
    """Returns whether each component is held out, by a keyed hash of its name: [n] bool."""
    return keyed_hash(components, "split") < np.uint64(int(fraction * 2**64))


def _sizes(components: Sequence[np.ndarray], fraction: float) -> tuple[np.ndarray, int]:
    """Returns the components that are too large to hold out, and the number of all."""
    names, sizes = np.unique(np.concatenate(components), return_counts=True)
    return names[sizes > max(_ALWAYS_SMALL, fraction * sizes.sum())], len(names)
