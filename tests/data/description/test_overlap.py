import numpy as np

from codepretrain.data.description.overlap import Shared, source_overlap
from codepretrain.data.keys import KEY_TYPE
from codepretrain.data.selection.document_codes import (
    EXACT_DUPLICATE,
    OVER_LIMIT,
    TRAIN,
    VALIDATION,
)

CLUSTERS = np.array([[30, 20]], np.uint64)


def keys(*found: tuple[int, int]) -> np.ndarray:
    """From groups and texts; a text has as many bytes as its key says."""
    return np.array([(group, text, text) for group, text in found], KEY_TYPE)


def codes(*found: int) -> np.ndarray:
    return np.array(found, np.uint8)


def test_shared_by_hand() -> None:
    overlap = source_overlap(
        {
            "a": keys((1, 10), (1, 10), (2, 20), (3, 50), (9, 90)),
            "b": keys((1, 11), (4, 10), (5, 30), (9, 50)),
            "c": keys((7, 70)),
        },
        {
            "a": codes(TRAIN, EXACT_DUPLICATE, VALIDATION, TRAIN, OVER_LIMIT),
            "b": codes(TRAIN, TRAIN, VALIDATION, EXACT_DUPLICATE),
            "c": codes(TRAIN),
        },
        CLUSTERS,
    )
    assert overlap.sources == ("a", "b", "c")
    nothing = Shared(num_texts=0, num_bytes=0, num_groups=0, num_clusters=0)
    assert overlap.read == {
        # Texts 10 and 50, group 1; clusters 10, 50 and {20, 30}. Group 9 of a is over the limit.
        ("a", "b"): Shared(num_texts=2, num_bytes=60, num_groups=1, num_clusters=3),
        ("a", "c"): nothing,
        ("b", "c"): nothing,
    }
    assert overlap.used["a", "b"] == Shared(num_texts=1, num_bytes=10, num_groups=1, num_clusters=2)
    assert overlap.totals["a"] == Shared(num_texts=3, num_bytes=80, num_groups=3, num_clusters=3)
    assert overlap.totals["b"] == Shared(num_texts=4, num_bytes=101, num_groups=4, num_clusters=4)


def test_similar_texts_were_not_searched() -> None:
    overlap = source_overlap(
        {"a": keys((1, 10)), "b": keys((2, 10))}, {"a": codes(TRAIN), "b": codes(TRAIN)}, None
    )
    assert overlap.read["a", "b"] == Shared(
        num_texts=1, num_bytes=10, num_groups=0, num_clusters=None
    )
    assert overlap.totals["a"].num_clusters is None


def test_one_source() -> None:
    overlap = source_overlap({"a": keys((1, 10), (1, 10))}, {"a": codes(TRAIN, TRAIN)}, CLUSTERS)
    assert overlap.read == overlap.used == {}
    assert overlap.totals["a"] == Shared(num_texts=1, num_bytes=10, num_groups=1, num_clusters=1)


def test_random_sources_against_sets() -> None:
    rng = np.random.default_rng(0)
    found = {
        name: np.array([(*rng.integers(1, 60, 2), 5) for _ in range(size)], KEY_TYPE)
        for name, size in {"a": 80, "b": 50, "c": 1, "d": 0}.items()
    }
    chosen = {name: rng.integers(0, 6, len(k)).astype(np.uint8) for name, k in found.items()}
    overlap = source_overlap(found, chosen, None)
    for (one, other), shared in overlap.read.items():
        left, right = (found[n][chosen[n] != OVER_LIMIT] for n in (one, other))
        texts = {*left["text"].tolist()} & {*right["text"].tolist()}
        groups = {*left["group"].tolist()} & {*right["group"].tolist()}
        assert (shared.num_texts, shared.num_groups) == (len(texts), len(groups))
        assert shared.num_bytes == 5 * len(texts)
    assert overlap.read["a", "b"].num_texts > 5
