"""Texts with planted duplicates."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from codepretrain.data.deduplicate import DeduplicationSettings, NearDuplicateFinder, sketch
from codepretrain.data.deduplicate.finder import FinderCounts

SETTINGS = DeduplicationSettings()


def fresh_words(rng: random.Random, count: int) -> list[str]:
    return [f"w{rng.getrandbits(60):x}" for _ in range(count)]


def pair(
    rng: random.Random, jaccard: float, *, num_ngrams: int = 300, n: int = 5
) -> tuple[str, str]:
    """Two texts that share the n-grams of their beginnings: s of 2·num_ngrams − s."""
    shared = round(2 * num_ngrams * jaccard / (1 + jaccard))
    beginning = fresh_words(rng, shared + n - 1)
    rest = num_ngrams - shared
    first, second = (" ".join(beginning + fresh_words(rng, rest)) for _ in range(2))
    return first, second


def exact_jaccard(first: str, second: str, n: int = 5) -> float:
    """From sets of tuples of words: independent of hashes."""
    sets = []
    for text in (first, second):
        words = text.split()
        sets.append({tuple(words[i : i + n]) for i in range(len(words) - n + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def search(
    folder: Path,
    texts: Mapping[int, str] | Sequence[tuple[int, str]],
    *,
    num_parts: int = 1,
    settings: DeduplicationSettings = SETTINGS,
) -> tuple[dict[int, int], FinderCounts]:
    """Returns what a search over parts of the texts finds: key of a text → that of its cluster."""
    folder.mkdir()
    finder = NearDuplicateFinder(folder, settings)
    given = list(texts.items() if isinstance(texts, Mapping) else texts)
    for part in range(num_parts):
        finder.add(sketch(given[part::num_parts], settings))
    found = finder.clusters()
    assert not any(folder.iterdir()), "no file is left"
    assert (found[1:, 0] > found[:-1, 0]).all()
    assert (found[:, 1] < found[:, 0]).all()
    return dict(found.tolist()), finder.counts
