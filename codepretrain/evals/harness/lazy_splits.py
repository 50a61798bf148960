"""The splits of a dataset, each read when it is first used. Imports `datasets`."""

from collections.abc import Callable
from typing import Any

from datasets import Dataset, DatasetDict


class LazySplits(DatasetDict):
    """A `DatasetDict` that calls `read(split)` for a split at its first use."""

    def __init__(self, splits: list[str], read: Callable[[str], Dataset]) -> None:
        super().__init__(dict.fromkeys(splits))
        self._read = read

    def __getitem__(self, split: Any) -> Dataset:
        if dict.__contains__(self, split) and dict.__getitem__(self, split) is None:
            dict.__setitem__(self, split, self._read(split))
        return dict.__getitem__(self, split)

    def get(self, split: Any, default: Any = None) -> Any:
        return self[split] if split in self else default  # noqa: SIM401

    def values(self) -> Any:
        return [self[split] for split in self]

    def items(self) -> Any:
        return [(split, self[split]) for split in self]
