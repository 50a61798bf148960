"""Pairs of texts with an equal band, and which of them are near duplicates.

    bands   key of the band (8) · key of the text (8)

Texts that share a band are compared with the smallest of them and with their predecessor. This
makes two pairs for each text and band, however many texts share it.
"""

from collections.abc import Iterator

import numpy as np

from codepretrain.data.deduplicate.external_sort import Sorter, with_group_starts
from codepretrain.data.deduplicate.join import join
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.deduplicate.sketch import BAND, TEXT, as_bytes, as_numbers
from codepretrain.files.storage import StrPath

BAND_RECORD = BAND + TEXT


def band_records(sketches: np.ndarray, settings: DeduplicationSettings) -> np.ndarray:
    """Returns the records of all bands of some sketches: [sketches · bands, BAND_RECORD] uint8."""
    count, num_bands = len(sketches), settings.num_bands
    bands = sketches[:, -BAND * num_bands :].reshape(count, num_bands, BAND)
    texts = np.broadcast_to(sketches[:, None, :TEXT], (count, num_bands, TEXT))
    return np.concatenate((bands, texts), 2).reshape(count * num_bands, BAND_RECORD)


def candidate_pairs(bands: Sorter, folder: StrPath, *, memory_bytes: int) -> Sorter:
    """Returns the distinct pairs: larger key, smaller key."""
    pairs = Sorter(folder, "pairs", width=2 * TEXT, memory_bytes=memory_bytes)
    for records, starts in with_group_starts(bands.merged(), BAND):
        texts = as_numbers(records[:, -TEXT:])
        previous = np.maximum(starts, np.arange(len(texts)) - 1)
        for others in (starts, previous):
            pairs.add(_pairs(texts, texts[others]))
    return pairs


def near_duplicates(
    pairs: Sorter, signatures: Sorter, folder: StrPath, *, min_equal: int, memory_bytes: int
) -> tuple[Sorter, int]:
    """Returns the pairs whose signatures are equal in at least `min_equal` places.

    Also returns how many distinct pairs were compared.
    """
    width = signatures.width - TEXT
    halves = Sorter(folder, "halves", width=2 * TEXT + width, memory_bytes=memory_bytes)
    for records, rows in _joined(pairs, signatures):
        swapped = (records[:, TEXT:], records[:, :TEXT], rows[:, TEXT:])
        halves.add(np.concatenate(swapped, 1))
    found = Sorter(folder, "edges", width=2 * TEXT, memory_bytes=memory_bytes)
    for records, rows in _joined(halves, signatures):
        equal = (records[:, 2 * TEXT :] == rows[:, TEXT:]).sum(1)
        smaller, larger = records[:, :TEXT], records[:, TEXT : 2 * TEXT]
        found.add(np.concatenate((larger, smaller), 1)[equal >= min_equal])
    halves.remove()
    return found, halves.num_records


def _pairs(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns records of pairs of keys, without those of equal keys."""
    differs = some != others
    some, others = some[differs], others[differs]
    return as_bytes(np.stack((np.maximum(some, others), np.minimum(some, others)), 1))


def _joined(records: Sorter, signatures: Sorter) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    width = signatures.width
    rows_of = join(records.merged(), signatures.merged(), TEXT, row_width=width)
    for left, rows, is_found in rows_of:
        assert is_found.all(), "every text with a band has a signature"
        yield left, rows
