"""Puts the words of a text in a random order: a control that has code's words and no structure."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.data.filters.filter import Redactor

_CLASSES = (re.compile(r"\w+"), re.compile(r"[^\w\s]"), re.compile(r"\s+"))


@dataclass(frozen=True, kw_only=True)
class Scramble(Redactor):
    """Permutes the words of a document, its symbols, and its runs of whitespace.

    A word takes the place of a word, a symbol that of a symbol, whitespace that of whitespace, so
    bytes and nearly all tokens stay the same and no two words merge:

        if x == 1:              1 x
            return y            =: y= if
                                    return

    The order is by a keyed hash of the word and its number among its equals, with a key of all
    words of the document. So it differs between documents of different words, and depends on the
    words alone: a text that was scrambled is not changed again.
    """

    def replace(self, text: str) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()
        scrambled = text
        for pieces in _CLASSES:
            scrambled = _permute(scrambled, pieces)
        if scrambled != text:
            counts["scrambled"] += 1
        return scrambled, counts


def _permute(text: str, pieces: re.Pattern[str]) -> str:
    remaining = iter(_in_keyed_order(pieces.findall(text)))
    return pieces.sub(lambda match: next(remaining), text)


def _in_keyed_order(pieces: Sequence[str]) -> list[str]:
    if len(pieces) < 2:
        return list(pieces)
    key = hashlib.blake2b("\0".join(sorted(pieces)).encode("utf-8", "surrogatepass")).digest()
    seen: Counter[str] = Counter()
    keyed = []
    for piece in pieces:
        seen[piece] += 1
        numbered = f"{seen[piece]}\0{piece}".encode("utf-8", "surrogatepass")
        keyed.append((hashlib.blake2b(numbered, key=key, digest_size=8).digest(), piece))
    return [piece for _, piece in sorted(keyed)]
