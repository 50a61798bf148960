"""Which documents are held out: by group, the same in every source.

Groups that share a text, exactly or nearly, are joined into components (`components.py`). A keyed
hash of its component decides whether a document is held out. So no group and no text is in the
training rows of one source and in the held-out rows of another, and the split does not depend on
the order in which documents were read.

A component with more documents than the held-out share of the study is trained on: it could only be
held out instead of everything else.

Sources that are trained on or held out as a whole (`SourceConfig.split`) are so whatever the hash
says. What is connected with the former is trained on. The latter have a component for each text,
with those that are similar, if they have too few components of groups for a standard error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.data.selection.components import Components, contains
from codepretrain.data.selection.whole_sources import ALL_HELD_OUT, BY_GROUP, trained_components
from codepretrain.rows.sampling import keyed_hash

# Components of up to this many documents may be held out, however small the study is.
_ALWAYS_SMALL = 100
# With fewer, an error over components says little: t quantiles are wide, and the error unsure.
_LEAST_COMPONENTS = 10


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


def split_groups(
    groups: Sequence[np.ndarray],
    joins: np.ndarray,
    fraction: float,
    *,
    splits: Sequence[str] | None = None,
    labels: Sequence[np.ndarray] | None = None,
) -> Split:
    """Returns the split of the documents that are kept.

    Args:
      groups: of each source, the group keys of its documents, [num_documents] uint64.
      joins: pairs of group keys that follow one split, [m, 2] uint64; also of other documents.
      fraction: expected share of components that are held out.
      splits: of each source, `SourceConfig.split`; None: all are split by group.
      labels: of each source, the text of each document, or the smallest similar one, as `groups`;
        needed for sources that are held out as a whole.
    """
    splits = splits or [BY_GROUP] * len(groups)
    labels = labels or groups
    of = Components(joins).of
    components = [of(found) for found in groups]
    too_large, num_components = _sizes(components, fraction)
    is_large = [
        contains(too_large, found) & (split == BY_GROUP)
        for found, split in zip(components, splits, strict=True)
    ]
    trained = np.union1d(too_large, trained_components(components, splits))
    held_out = [
        is_held_out(found, fraction) & ~contains(trained, found)
        if split == BY_GROUP
        else np.full(len(found), split == ALL_HELD_OUT)
        for found, split in zip(components, splits, strict=True)
    ]
    units = [
        _units(found, of_texts) if split == ALL_HELD_OUT else found
        for found, of_texts, split in zip(components, labels, splits, strict=True)
    ]
    return Split(
        held_out=held_out,
        components=[found[chosen] for found, chosen in zip(units, held_out, strict=True)],
        num_components=num_components,
        num_too_large=int(sum(large.sum() for large in is_large)),
    )


def _units(components: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the independent units of a source that is held out as a whole: [n] uint64."""
    return components if len(np.unique(components)) >= _LEAST_COMPONENTS else labels


def is_held_out(components: np.ndarray, fraction: float) -> np.ndarray:
    """Returns whether each component is held out, by a keyed hash of its name: [n] bool."""
    return keyed_hash(components, "split") < np.uint64(int(fraction * 2**64))


def _sizes(components: Sequence[np.ndarray], fraction: float) -> tuple[np.ndarray, int]:
    """Returns the components that are too large to hold out, and the number of all."""
    names, sizes = np.unique(np.concatenate(components), return_counts=True)
    return names[sizes > max(_ALWAYS_SMALL, fraction * sizes.sum())], len(names)
