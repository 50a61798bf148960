"""Words of a text and hashes of its word n-grams, computed with numpy on the text's UTF-8 bytes.

A word is a run of ASCII letters, digits and underscores, and of characters beyond ASCII that are
neither white space, punctuation nor symbols; an ideograph or kana (U+3000 to U+9FFF) begins a new
word, as these scripts put no spaces between words. Everything else separates words, except
invisible characters, such as soft hyphens, which are left out. Composed and decomposed characters
are equal.

    "x = f(x+1)"    words: x  f  x  1      3-grams: x f x,  f x 1

Hashes have 64 bits, are the same on all machines and in all versions of Python and numpy, and are
polynomials of the bytes of a word, or of the words of an n-gram, with a mixing step after each.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

_BLOCK_BYTES = 2**16  # arrays of a block fit the cache; also the longest word
_BYTE_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_WORD_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_SEPARATOR, _WORD, _WORD_START = 0, 1, 2


def _classes() -> np.ndarray:
    classes = np.zeros(256, np.uint8)
    classes[0x80:] = _WORD
    classes[0xE3:0xEA] = _WORD_START  # first UTF-8 byte of U+3000 to U+9FFF
    for character in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_":
        classes[character] = _WORD
    return classes


_CLASSES = _classes()
_INVERSE_FACTOR = np.uint64(pow(int(_BYTE_FACTOR), -1, 2**64))
with np.errstate(over="ignore"):
    _BYTE_POWERS, _INVERSE_POWERS = (
        np.multiply.accumulate(np.full(_BLOCK_BYTES, factor, np.uint64))
        for factor in (_BYTE_FACTOR, _INVERSE_FACTOR)
    )


def words_of(text: str) -> list[bytes]:
    """Returns the words of a text in their order, as UTF-8.

    >>> words_of("x = f(x+1)")
    [b'x', b'f', b'x', b'1']
    """
    found = []
    for block in _blocks(_plain(text)):
        data = block.tobytes()
        starts, ends = _bounds(block)
        found += [data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return found


def hash_words(text: str) -> np.ndarray:
    """Returns the hash of each word of a text in their order: [words] uint64."""
    hashes = [_hash_block(block) for block in _blocks(_plain(text))]
    return np.concatenate(hashes) if hashes else np.empty(0, np.uint64)


def hash_ngrams(words: np.ndarray, n: int) -> np.ndarray:
    """Returns the hash of every n consecutive words: [max(0, words - n + 1)] uint64.

    Args:
      words: what `hash_words` returned.
    """
    count = max(0, len(words) - n + 1)
    return combined([words[offset : offset + count] for offset in range(n)])


def combined(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Returns one hash of the numbers in each place of the columns: [n] uint64, as they are."""
    total = np.zeros_like(columns[0])
    for column in columns:
        total = total * _WORD_FACTOR + column
    return _mixed(total)


def _plain(text: str) -> bytes:
    """Returns a text as UTF-8 in which ASCII characters alone separate words."""
    if not text.isascii():
        invisible, separators = _typography()
        text = separators(" ", invisible("", unicodedata.normalize("NFC", text)))
    return text.encode(errors="surrogatepass")


@cache
def _typography() -> tuple[Callable[[str, str], str], Callable[[str, str], str]]:
    """Returns functions that replace invisible characters, and separators beyond ASCII.

    By their categories in Unicode 3.2, which every version of Python has. There, soft hyphens and
    zero-width spaces are separators.
    """
    found: dict[str, list[str]] = {"invisible": ["\u00ad\u200b"], "separators": []}
    for character in map(chr, range(0x80, 0x10000)):
        category = unicodedata.ucd_3_2_0.category(character)
        if category == "Cf":
            found["invisible"].append(character)
        elif category == "Cc" or category[0] in "PSZ":
            found["separators"].append(character)
    invisible, separators = (
        re.compile(f"[{re.escape(''.join(some))}]").sub for some in found.values()
    )
    return invisible, separators


def _blocks(data: bytes) -> Iterator[np.ndarray]:
    """Yields the bytes in blocks that end between words, unless a word fills a block."""
    array, start = np.frombuffer(data, np.uint8), 0
    while len(array) - start > _BLOCK_BYTES:
        block = array[start : start + _BLOCK_BYTES]
        classes = _CLASSES[block]
        between = (classes[:-1] == _SEPARATOR) | (classes[1:] == _WORD_START)
        places = np.flatnonzero(between)
        size = int(places[-1]) + 1 if len(places) else _BLOCK_BYTES
        yield block[:size]
        start += size
    if start < len(array):
        yield array[start:]


def _bounds(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the words of a block start and end."""
    begins, is_word = _beginnings(block)
    precedes_end = np.concatenate((begins[1:] | ~is_word[1:], [True]))
    return np.flatnonzero(begins), np.flatnonzero(is_word & precedes_end) + 1


def _beginnings(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which bytes of a block begin a word, and which are in one."""
    classes = _CLASSES[block]
    is_word = classes != _SEPARATOR
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1] | (classes[1:] == _WORD_START)
    return begins, is_word


def _hash_block(block: np.ndarray) -> np.ndarray:
    """Returns the hash of each word: its bytes, plus 1, times the powers 1, 2, … of the factor.

    The powers are those of the places among all bytes of words, divided by that of the word's
    place.
    """
    begins, is_word = _beginnings(block)
    firsts = np.flatnonzero(begins[is_word])
    if not len(firsts):
        return np.empty(0, np.uint64)
    terms = block[is_word].astype(np.uint64)
    terms += np.uint64(1)
    terms *= _BYTE_POWERS[: len(terms)]
    sums = np.add.reduceat(terms, firsts)
    sums[firsts > 0] *= _INVERSE_POWERS[firsts[firsts > 0] - 1]
    return _mixed(sums)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Returns 64-bit values with every bit dependent on all bits: the finalizer of SplitMix64.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
