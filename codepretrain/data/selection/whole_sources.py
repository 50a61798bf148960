"""What other sources share with sources that are held out as a whole (`SourceConfig.split`).

A document of another source is a copy if its text equals, or is similar to, that of a document of
such a source, or if its group is one of theirs: the same repository, whatever it is read for. Other
documents of a copy's group are none: a file that many projects copy would take all of them along.
"""

from collections.abc import Sequence

import numpy as np

from codepretrain.data.selection.components import Components, contains

BY_GROUP, ALL_TRAIN, ALL_HELD_OUT = "by_group", "train", "held_out"


def held_out_copies(
    groups: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    splits: Sequence[str],
    joins: np.ndarray,
) -> list[np.ndarray]:
    """Returns which documents share a group or a text with a source that is held out.

    Those of the source itself do not count.

    Args:
      groups: of each source, the group keys of its documents, [num_documents] uint64.
      labels: the text of each document, or the cluster of similar texts that it is in, alike.
      splits: of each source, `SourceConfig.split`.
      joins: pairs of groups that documents say belong together: [n, 2] uint64.
    """
    if ALL_HELD_OUT not in splits:
        return [np.zeros(len(found), bool) for found in groups]
    of = Components(joins).of
    named = [of(found) for found in groups]
    marks = [np.zeros(len(found), bool) for found in groups]
    for values in (named, labels):
        held_out = _distinct(values, splits, ALL_HELD_OUT)
        marks = [
            mark | (split != ALL_HELD_OUT) & contains(held_out, found)
            for mark, found, split in zip(marks, values, splits, strict=True)
        ]
    return marks


def trained_components(components: Sequence[np.ndarray], splits: Sequence[str]) -> np.ndarray:
    """Returns the components of the sources that are trained on as a whole, sorted: [n] uint64."""
    return _distinct(components, splits, ALL_TRAIN)


def _distinct(values: Sequence[np.ndarray], splits: Sequence[str], split: str) -> np.ndarray:
    chosen = [found for found, of in zip(values, splits, strict=True) if of == split]
    return np.unique(np.concatenate([np.empty(0, np.uint64), *chosen]))
