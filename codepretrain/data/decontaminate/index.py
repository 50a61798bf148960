"""Finds texts of evaluation sets in documents, by overlap of word n-grams.

    evaluation texts ──► hashes of their n-grams, sorted
    document ──► hashes of its n-grams ──► those in the index ──► compared word by word ──► matches

Words are lower-case and have no punctuation (`codepretrain.data.word_ngrams`). Hashes only
preselect: every match is compared in full, so there are no accidental ones.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from codepretrain.data.word_ngrams import hash_ngrams, hash_words, words_of
from codepretrain.files.hashing import sha256_bytes, sha256_json


@dataclass(frozen=True, kw_only=True)
class DecontaminationSettings:
    """What an overlap is.

    A document contains an evaluation text if they share `ngram_size` consecutive words. A text with
    fewer words, but at least `min_words` (from 1 to `ngram_size`), is sought as a whole. A shorter
    one is not sought: it is counted in `EvaluationIndex.too_short`.

    Source: Brown et al. 2020 (GPT-3), appendix C: 13 words, and 8 at least. They remove the overlap
    with 200 characters around it, and ignore n-grams that are in more than 10 documents; here the
    document is dropped. Their words end at spaces, without punctuation; here at any punctuation.
    """

    ngram_size: int = 13
    min_words: int = 8


@dataclass(frozen=True)
class EvaluationText:
    """A text of one item of an evaluation set: its question, its answer, its tests."""

    benchmark: str
    item: str
    text: str


@dataclass(frozen=True, order=True)
class Match:
    """An item of a benchmark that a document contains, and the number of n-grams they share."""

    benchmark: str
    item: str
    num_ngrams: int
    example: str  # the words of the first n-gram in the document


class EvaluationIndex:
    """The n-grams of evaluation texts. Needs 12 bytes for each of them, and the texts.

    Attributes:
      too_short: number of texts that are not sought, by benchmark.
      fingerprint: hash of the settings and the set of texts: what documents were compared with.
    """

    def __init__(self, texts: Iterable[EvaluationText], settings: DecontaminationSettings) -> None:
        """Reads all texts, in any order."""
        self.too_short: Counter[str] = Counter()
        self._items: list[tuple[str, str]] = []
        self._words: list[bytes] = []
        found: dict[int, list[tuple[np.ndarray, int]]] = defaultdict(list)
        for text in sorted({(t.benchmark, t.item, t.text) for t in texts}):
            words = words_of(text[2].lower())
            if len(words) < settings.min_words:
                self.too_short[text[0]] += 1
                continue
            size = min(len(words), settings.ngram_size)
            hashes = np.unique(hash_ngrams(hash_words(text[2].lower()), size))
            found[size].append((hashes, len(self._items)))
            self._items.append(text[:2])
            self._words.append(_joined(words))
        self._by_size = {size: _sorted(lists) for size, lists in sorted(found.items())}
        self.fingerprint = self._fingerprint(settings)

    def matches(self, text: str) -> list[Match]:
        """Returns the items that a text contains, sorted by benchmark and item."""
        lowered = text.lower()
        hashed = hash_words(lowered)
        places: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        words: list[bytes] = []
        for size, (hashes, numbers) in self._by_size.items():
            ngrams = hash_ngrams(hashed, size)
            first = np.searchsorted(hashes, ngrams)
            is_found = hashes[np.minimum(first, len(hashes) - 1)] == ngrams
            for place in np.flatnonzero(is_found).tolist():
                words = words or words_of(lowered)
                ngram = _joined(words[place : place + size])
                end = int(np.searchsorted(hashes, ngrams[place], side="right"))
                for number in numbers[first[place] : end].tolist():
                    if ngram in self._words[number]:
                        places[self._items[number]].setdefault(place, size)
        return sorted(_match(item, of, words) for item, of in places.items())

    def _fingerprint(self, settings: DecontaminationSettings) -> str:
        texts = [
            [*item, sha256_bytes(words)]
            for item, words in zip(self._items, self._words, strict=True)
        ]
        return sha256_json(
            {"settings": asdict(settings), "texts": texts, "too_short": dict(self.too_short)}
        )


def _match(item: tuple[str, str], places: dict[int, int], words: Sequence[bytes]) -> Match:
    first = min(places)
    example = b" ".join(words[first : first + places[first]]).decode(errors="replace")
    return Match(*item, num_ngrams=len(places), example=example)


def _sorted(lists: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the n-grams of several texts in order, and the number of the text of each."""
    hashes = np.concatenate([hashes for hashes, _ in lists])
    numbers = np.concatenate([np.full(len(h), number, np.uint32) for h, number in lists])
    order = np.argsort(hashes, kind="stable")
    return hashes[order], numbers[order]


def _joined(words: Sequence[bytes]) -> bytes:
    """Returns words with a space around each, so that whole words are compared."""
    return b" " + b" ".join(words) + b" "
