"""Joins two sorted streams of records on their first bytes."""

from collections.abc import Iterable, Iterator

import numpy as np

from codepretrain.data.deduplicate.external_sort import as_keys


def join(
    records: Iterable[np.ndarray], table: Iterable[np.ndarray], key_width: int, *, row_width: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields records with the table's row of the same key: (records, rows, whether there is one).

    Holds one chunk of each stream. A row without a match has any contents.

    Args:
      records: sorted, [records, width] uint8; keys may repeat.
      table: sorted, [rows, row_width] uint8; every key once.
    """
    waiting = iter(records)
    left = next(waiting, None)
    for rows in table:
        keys = as_keys(rows[:, :key_width])
        while left is not None:
            sought = as_keys(left[:, :key_width])
            count = int(np.searchsorted(sought, keys[-1], side="right"))
            if count:
                found = np.searchsorted(keys, sought[:count])
                yield left[:count], rows[found], keys[found] == sought[:count]
            left = left[count:]
            if len(left):
                break
            left = next(waiting, None)
    while left is not None:
        yield left, np.zeros((len(left), row_width), np.uint8), np.zeros(len(left), bool)
        left = next(waiting, None)
