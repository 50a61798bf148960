"""Pairs of texts with an equal band, and which of them are near duplicates.

Texts that share a band are connected to the smallest of them and to their predecessor, which makes
two pairs for each text and band, however many texts share it.
"""

from collections.abc import Iterator

import numpy as np

from codepretrain.data.deduplicate.external_sort import Sorter, as_keys, with_group_starts
from codepretrain.data.deduplicate.join import join
from codepretrain.data.deduplicate.sketch import BAND, DIGEST
from codepretrain.files.storage import StrPath


def candidate_pairs(bands: Sorter, folder: StrPath, *, memory_bytes: int) -> Sorter:
    """Returns the distinct pairs: larger digest, smaller digest.

    Args:
      bands: key of a band, digest.
    """
    pairs = Sorter(folder, "pairs", width=2 * DIGEST, memory_bytes=memory_bytes)
    for records, starts in with_group_starts(bands.merged(), BAND):
        digests = records[:, BAND:]
        first = digests[starts]
        previous = digests[np.maximum(starts, np.arange(len(digests)) - 1)]
        for smaller in (first, previous):
            differs = as_keys(smaller) != as_keys(digests)
            pairs.add(np.concatenate((digests, smaller), 1)[differs])
    return pairs


def near_duplicates(
    pairs: Sorter, signatures: Sorter, folder: StrPath, *, min_equal: int, memory_bytes: int
) -> Sorter:
    """Returns the pairs whose signatures are equal in at least `min_equal` places."""
    width = signatures.width - DIGEST
    halves = Sorter(folder, "halves", width=2 * DIGEST + width, memory_bytes=memory_bytes)
    for records, rows in _joined(pairs, signatures):
        swapped = (records[:, DIGEST:], records[:, :DIGEST], rows[:, DIGEST:])
        halves.add(np.concatenate(swapped, 1))
    found = Sorter(folder, "edges", width=2 * DIGEST, memory_bytes=memory_bytes)
    for records, rows in _joined(halves, signatures):
        equal = (records[:, 2 * DIGEST :] == rows[:, DIGEST:]).sum(1)
        smaller, larger = records[:, :DIGEST], records[:, DIGEST : 2 * DIGEST]
        found.add(np.concatenate((larger, smaller), 1)[equal >= min_equal])
    halves.remove()
    return found


def _joined(records: Sorter, signatures: Sorter) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    width = signatures.width
    rows_of = join(records.merged(), signatures.merged(), DIGEST, row_width=width)
    for left, rows, is_found in rows_of:
        assert is_found.all(), "every text with a band has a signature"
        yield left, rows
