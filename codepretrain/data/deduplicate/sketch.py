"""Sketches of texts: the fixed-width records in which near duplicates are sought.

    key of the text (8) · a byte of each minimal hash (P) · key of each band (8 · bands)

Numbers are big-endian, so that records sort by them. Workers make sketches of parts; a
`NearDuplicateFinder` collects them in any order.
"""

from collections.abc import Iterable

import numpy as np

from codepretrain.data.deduplicate.minhash import (
    band_keys,
    ngrams_of,
    signature_bytes,
    signature_of,
)
from codepretrain.data.deduplicate.settings import DeduplicationSettings

TEXT = BAND = 8
_BIG_ENDIAN = np.dtype(">u8")


def sketch_width(settings: DeduplicationSettings) -> int:
    """Returns the bytes of a sketch."""
    return TEXT + settings.num_permutations + BAND * settings.num_bands


def sketch(texts: Iterable[tuple[int, str]], settings: DeduplicationSettings) -> np.ndarray:
    """Returns a sketch of every text that has words: [sketches, sketch_width] uint8.

    Args:
      texts: each with its key, a number of 64 bits. Texts with equal keys are taken for equal.
    """
    keys, signatures, bands = [], [], []
    for key, text in texts:
        ngrams = ngrams_of(text, settings.ngram_size)
        if not len(ngrams):
            continue
        signature = signature_of(ngrams, settings.num_permutations)
        keys.append(key)
        signatures.append(signature_bytes(signature))
        bands.append(band_keys(signature, settings))
    if not keys:
        return np.empty((0, sketch_width(settings)), np.uint8)
    columns = (as_bytes(np.array(keys, np.uint64)), np.stack(signatures), as_bytes(np.stack(bands)))
    return np.concatenate(columns, 1)


def as_bytes(numbers: np.ndarray) -> np.ndarray:
    """Returns numbers, [n] or [n, k] uint64, as big-endian bytes: [n, 8 · k] uint8."""
    width = 8 * (numbers.shape[1] if numbers.ndim > 1 else 1)
    return numbers.astype(_BIG_ENDIAN, order="C").view(np.uint8).reshape(len(numbers), width)


def as_numbers(records: np.ndarray) -> np.ndarray:
    """Returns rows of 8 bytes as numbers, the inverse of `as_bytes`: [n] uint64."""
    return np.ascontiguousarray(records).view(_BIG_ENDIAN).astype(np.uint64).reshape(len(records))
