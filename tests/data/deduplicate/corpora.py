"""Documents with planted duplicates."""

import random
from collections.abc import Iterable
from pathlib import Path

from codepretrain.data.deduplicate import (
    DeduplicationSettings,
    Duplicate,
    DuplicateCounts,
    DuplicateFinder,
    locator_of,
    sketch,
)
from codepretrain.data.document import Document

SETTINGS = DeduplicationSettings()


def document(id: str, text: str, source: str = "s") -> Document:
    return Document(id=id, text=text, source=source, origin=id)


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
    documents: list[Document],
    *,
    num_shards: int = 1,
    settings: DeduplicationSettings = SETTINGS,
) -> tuple[list[Duplicate], DuplicateCounts]:
    """What a search over shards of documents finds."""
    folder.mkdir()
    finder = DuplicateFinder(folder, settings)
    for shard in range(num_shards):
        part = enumerate(documents[shard::num_shards])
        finder.add(sketch(((locator_of(shard, i), d) for i, d in part), settings))
    found = list(finder.find())
    assert not any(folder.iterdir()), "no file is left"
    return found, finder.counts


def keys(found: Iterable[Duplicate]) -> set[tuple[bytes, bytes, str]]:
    return {(one.key, one.kept_key, one.kind) for one in found}
