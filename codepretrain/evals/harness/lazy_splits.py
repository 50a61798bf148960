"""The splits of a dataset, each read when it is first used. Imports `datasets`."""

from collections.abc import Callable
from typing import Any

from datasets import Dataset, DatasetDict

from codepretrain.errors import UserError


class LazySplits(DatasetDict):
    """A `DatasetDict` that calls `read(split)` for a split at its first use."""

    def __init__(self, splits: list[str], read: Callable[[str], Dataset], *, name: str) -> None:
        """`name` is that of the dataset, for the error that names a split which it lacks."""
        super().__init__(dict.fromkeys(splits))
        self._read = read
        self._name = name

    def __getitem__(self, split: Any) -> Dataset:
        """Returns a split. Raises UserError if there is none of this name."""
        if not dict.__contains__(self, split):
            found = ", ".join(self) or "none"
            raise UserError(f"{self._name} has no split {split!r}, found {found}")
        if dict.__getitem__(self, split) is None:
            dict.__setitem__(self, split, self._read(split))
        return dict.__getitem__(self, split)

    def get(self, split: Any, default: Any = None) -> Any:
        return self[split] if split in self else default  # noqa: SIM401

    def values(self) -> Any:
        return [self[split] for split in self]

    def items(self) -> Any:
        return [(split, self[split]) for split in self]
