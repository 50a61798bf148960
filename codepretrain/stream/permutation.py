"""A keyed permutation of [0, num_rows): the order in which an epoch reads the rows of a source.

A balanced Feistel network over pairs. A row index is written as (left, right) with
left < num_left and right < num_right, both sizes close to √num_rows. Each round adds a keyed
function of one half to the other half, modulo its size. Subtracting it undoes the round, so every
round is a bijection on the num_left · num_right pairs, and so is the network. At most num_left − 1
pairs are not rows; an index that is sent to one of them goes through the network again until it
reaches a row ("cycle walking"). A walk follows a cycle of a bijection that contains a row, so it
ends, and two rows never reach the same one: the result is a bijection on the rows.

A half has only about √num_rows values, so a round's function is a table, filled with the output of
SHAKE-256 on the key. Nothing here depends on the platform: it uses integers and SHA-3 only.

Source: J. Black, P. Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002 (the generalized
Feistel construction and cycle walking). Deviation: eight rounds instead of three, for small
domains; we want well-mixed orders, not secrecy.
"""

import functools
import hashlib
import json
import math

import numpy as np

NUM_ROUNDS = 8


def epoch_key(seed: int, source: str, epoch: int) -> bytes:
    """Returns the key of a source's order in one epoch. It does not depend on the mixture."""
    return hashlib.sha256(json.dumps([seed, source, epoch]).encode()).digest()


def permute(index: np.ndarray, *, num_rows: int, key: bytes) -> np.ndarray:
    """Returns where the permutation of `key` sends each index.

    index: [n] int64, each in [0, num_rows); the result likewise. For a given key and num_rows the
    map is a bijection on [0, num_rows).
    """
    index = np.asarray(index, np.int64)
    assert index.size == 0 or (index.min() >= 0 and index.max() < num_rows), "index out of range"
    tables = _round_tables(num_rows, key)
    permuted = _feistel(index, tables)
    walking = np.flatnonzero(permuted >= num_rows)
    while walking.size:
        permuted[walking] = _feistel(permuted[walking], tables)
        walking = walking[permuted[walking] >= num_rows]
    return permuted


def _feistel(index: np.ndarray, tables: tuple[np.ndarray, ...]) -> np.ndarray:
    """One pass of the network over indices of pairs: [n] int64 → [n] int64."""
    num_right, num_left = len(tables[0]), len(tables[1])
    left = index // num_right
    right = index - left * num_right
    for round_number, table in enumerate(tables):
        if round_number % 2 == 0:
            left += table[right]
            np.subtract(left, num_left, out=left, where=left >= num_left)
        else:
            right += table[left]
            np.subtract(right, num_right, out=right, where=right >= num_right)
    return left * num_right + right


@functools.lru_cache(maxsize=64)
def _round_tables(num_rows: int, key: bytes) -> tuple[np.ndarray, ...]:
    """The rounds' functions: even ones map right halves to left ones, odd ones the reverse.

    A 32-bit word w becomes ⌊w · size / 2³²⌋: uniform to within size / 2³².
    """
    num_left = max(1, math.isqrt(num_rows - 1) + 1)
    num_right = -(-num_rows // num_left)
    assert num_left < 2**32
    sizes = [(num_right, num_left), (num_left, num_right)] * (NUM_ROUNDS // 2)
    num_words = sum(domain for domain, _ in sizes)
    words = np.frombuffer(hashlib.shake_256(key).digest(4 * num_words), "<u4").astype(np.uint64)
    tables = []
    for domain, codomain in sizes:
        head, words = words[:domain], words[domain:]
        tables.append(((head * np.uint64(codomain)) >> np.uint64(32)).astype(np.int64))
    return tuple(tables)
