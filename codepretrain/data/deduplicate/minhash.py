"""MinHash signatures of texts, and the keys of their bands.

    text → set of n-gram hashes (32 bits) → minimum of each of P permutations → signature [P] uint32
    signature → bands of R rows → one key of 64 bits for each band

Source: Broder 1997, "On the resemblance and containment of documents". The permutations are
x → a·x + b mod 2³² with odd a.
"""

import hashlib
from functools import cache

import numpy as np

from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.word_ngrams import combined, hash_ngrams, hash_words

_BYTE_FACTOR = np.uint32(0x9E3779B1)
_CHUNK = 128  # n-grams at a time: 128 × 256 hashes of 32 bits fit the cache


def ngrams_of(text: str, ngram_size: int) -> np.ndarray:
    """Returns the hashes of a text's distinct n-grams: [n-grams] uint64, sorted.

    A text of fewer words is one n-gram; one without words has none.
    """
    words = hash_words(text)
    return np.unique(hash_ngrams(words, min(ngram_size, len(words)))) if len(words) else words


def signature_of(ngrams: np.ndarray, num_permutations: int) -> np.ndarray:
    """Returns the minimum of each permutation: [P] uint32.

    Args:
      ngrams: [n-grams] uint64, not empty.
    """
    factors, offsets = _permutations(num_permutations)
    values = (ngrams >> np.uint64(32)).astype(np.uint32)
    minima = np.full(num_permutations, 2**32 - 1, np.uint32)
    for start in range(0, len(values), _CHUNK):
        hashes = values[start : start + _CHUNK, None] * factors[None]
        hashes += offsets[None]
        np.minimum(minima, hashes.min(axis=0), out=minima)
    return minima


def signature_bytes(signature: np.ndarray) -> np.ndarray:
    """Returns one byte of each hash, which depends on all of its bits: [P] uint8.

    The low byte would not do: the permutations keep the equality of hashes modulo 256.
    """
    return ((signature * _BYTE_FACTOR) >> np.uint32(24)).astype(np.uint8)


def band_keys(signature: np.ndarray, settings: DeduplicationSettings) -> np.ndarray:
    """Returns the key of each band: [bands] uint64. Bands of different numbers never share one."""
    used = signature[: settings.num_bands * settings.rows_per_band].astype(np.uint64)
    rows = used.reshape(settings.num_bands, settings.rows_per_band)
    numbers = np.arange(settings.num_bands, dtype=np.uint64)
    return combined((numbers, *rows.T))


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the exact Jaccard similarity of two sets of n-grams: |A ∩ B| / |A ∪ B|."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


@cache
def _permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    digests = b"".join(
        hashlib.blake2b(f"minhash {i}".encode(), digest_size=8).digest() for i in range(count)
    )
    numbers = np.frombuffer(digests, "<u4").reshape(count, 2).astype(np.uint32)
    return numbers[:, 0] | np.uint32(1), numbers[:, 1]
