"""Numbers of documents: in a source, and in what became of them.

    number of a source                0      1       2            3      4
    code                              train  train   near dup.    held   train
    number in train / validation      0      1                    0      2
    number in dropped                                0

Documents in rows have the number in their split: `show-batch` names it.
"""

from dataclasses import dataclass

import numpy as np

from codepretrain.data.selection.document_codes import CODES, TRAIN, VALIDATION
from codepretrain.errors import UserError

DROPPED = "dropped"
SPLITS_AND_DROPPED = (CODES[TRAIN], CODES[VALIDATION], DROPPED)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One document of a source.

    number: in the source, from 0. fate: a name in CODES. split: "train", "validation" or "dropped".
    number_in_split: from 0.
    """

    source: str
    number: int
    fate: str
    split: str
    number_in_split: int

    @property
    def text(self) -> str:
        """Returns the place in words."""
        what = self.split if self.split != DROPPED else f"dropped as {self.fate.replace('_', ' ')}"
        return (
            f"document {self.number:,} of {self.source}: {what} "
            f"(number {self.number_in_split:,} of {self.split})"
        )


def is_in(codes: np.ndarray, split: str) -> np.ndarray:
    """Returns whether each document is in a split, or dropped: [num_documents] bool."""
    if split == DROPPED:
        return (codes != TRAIN) & (codes != VALIDATION)
    return codes == CODES.index(split)


def place_of(source: str, codes: np.ndarray, number: int) -> Place:
    """Returns the place of a source's document by its number."""
    fate = CODES[codes[number]]
    split = fate if fate in SPLITS_AND_DROPPED else DROPPED
    return Place(
        source=source,
        number=number,
        fate=fate,
        split=split,
        number_in_split=int(is_in(codes[:number], split).sum()),
    )


def find_place(source: str, codes: np.ndarray, number: int, *, split: str | None) -> Place:
    """Returns the place of document `number` of a split, or of the source if `split` is None.

    Raises:
      UserError: there are fewer documents; says how many.
    """
    count = len(codes) if split is None else int(is_in(codes, split).sum())
    if not 0 <= number < count:
        where = f"source {source!r}" if split is None else f"split {split!r} of source {source!r}"
        held = f"documents 0 to {count - 1:,}" if count else "no documents"
        raise UserError(f"{where} has {held}, got {number:,}")
    if split is not None:
        number = int(np.flatnonzero(is_in(codes, split))[number])
    return place_of(source, codes, number)
