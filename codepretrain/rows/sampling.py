"""Samples by keyed hash: the items with the smallest hashes under a key per purpose.

A sample does not depend on the order of the items or on who reads them, and a larger sample
contains a smaller one. Samples under different purposes are independent.
"""

import hashlib

import numpy as np

_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def keyed_hash(values: np.ndarray, purpose: str) -> np.ndarray:
    """Returns a uniform uint64 for each value: [n] uint64, a bijection for each purpose.

    Source: the finalizer of splitmix64 (Steele, Lea and Flood, 2014, section 5), twice, with the
    purpose's hash added between.
    """
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    return _mix(_mix(values.astype(np.uint64)) + np.uint64(int.from_bytes(digest, "little")))


def smallest(hashes: np.ndarray, num_items: int) -> np.ndarray:
    """Returns the positions of the `num_items` smallest hashes, or of all, in order: [k] int64.

    Of equal hashes the first are taken.
    """
    return np.sort(np.argsort(hashes, kind="stable")[:num_items])


def smallest_up_to(hashes: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """Returns positions by smallest hash until their sizes reach `total`, in order: [k] int64."""
    order = np.argsort(hashes, kind="stable")
    before = np.cumsum(sizes[order], dtype=np.uint64) - sizes[order]
    return np.sort(order[before < total])


def _mix(values: np.ndarray) -> np.ndarray:
    """Multiplies modulo 2**64, which is what numpy does with arrays of unsigned integers."""
    for shift, multiplier in zip(_SHIFTS[:2], _MULTIPLIERS, strict=True):
        values = (values ^ (values >> shift)) * multiplier
    return values ^ (values >> _SHIFTS[2])
