"""Which copy is kept, by hand and whatever the order of the documents."""

import random
from typing import Any

import numpy as np
import pytest

from codepretrain.data.keys import KEY_TYPE
from codepretrain.data.selection.duplicates import cluster_of, exact_duplicates, near_duplicates


def keys(*pairs: tuple[int, int]) -> np.ndarray:
    """From groups and texts."""
    return np.array([(group, text, 1) for group, text in pairs], KEY_TYPE)


def everything(sources: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ones(len(found), bool) for found in sources]


def kept(sources: list[np.ndarray], dropped: list[np.ndarray]) -> list[list[int]]:
    return [found["text"][~drop].tolist() for found, drop in zip(sources, dropped, strict=True)]


NO_CLUSTERS = np.empty((0, 2), np.uint64)


def test_one_copy_of_a_text_in_each_source_or_in_the_first_one() -> None:
    sources = [keys((1, 7), (1, 8), (2, 7), (1, 7)), keys((5, 9)), keys((3, 7), (3, 9), (3, 9))]
    within, across = (
        exact_duplicates(sources, everything(sources), across=across) for across in (False, True)
    )
    assert [sorted(found) for found in kept(sources, within)] == [[7, 8], [9], [7, 9]]
    assert [sorted(found) for found in kept(sources, across)] == [[7, 8], [9], []]


def test_documents_that_are_no_candidates_are_neither_kept_nor_dropped() -> None:
    sources = [keys((1, 7), (2, 7)), keys((3, 7), (4, 7))]
    candidates = [np.array([False, False]), np.array([True, False])]
    dropped = exact_duplicates(sources, candidates, across=True)
    assert [drop.tolist() for drop in dropped] == [[False, False], [False, False]]


def test_of_similar_texts_one_is_kept_with_its_equal_copies() -> None:
    sources = [keys((1, 20), (2, 30)), keys((3, 10), (4, 30), (5, 30), (6, 20)), keys((7, 99))]
    clusters = np.array([[20, 10], [30, 10]], np.uint64)
    dropped = near_duplicates(sources, everything(sources), clusters, across=True)
    (first,), *others = kept(sources, dropped)
    assert first in (20, 30), "of the first source"
    assert others == [[first] * (1 if first == 20 else 2), [99]]
    within = kept(sources, near_duplicates(sources, everything(sources), clusters, across=False))
    assert [len(set(found)) for found in within] == [1, 1, 1]
    assert within[0] == [first]


def test_the_candidates_of_a_cluster_need_not_contain_its_smallest_text() -> None:
    sources = [keys((1, 10), (2, 20), (3, 30))]
    clusters = np.array([[20, 10], [30, 10]], np.uint64)
    dropped = near_duplicates(sources, [np.array([False, True, True])], clusters, across=True)
    assert not dropped[0][0]
    assert dropped[0][1:].sum() == 1


@pytest.mark.parametrize("across", [False, True])
def test_the_order_of_the_documents_does_not_matter(across: bool) -> None:
    rng = random.Random(0)
    pairs = [[(rng.randrange(99), rng.randrange(60)) for _ in range(200)] for _ in range(3)]
    clusters = np.array([[text, text - text % 4] for text in range(60) if text % 4], np.uint64)
    found = []
    for seed in range(3):
        shuffled = [random.Random(seed).sample(some, len(some)) for some in pairs]
        sources = [keys(*some) for some in shuffled]
        exact = exact_duplicates(sources, everything(sources), across=across)
        near = near_duplicates(sources, [~drop for drop in exact], clusters, across=across)
        found.append(
            [
                [
                    sorted(source[marks].tolist())
                    for source, marks in zip(sources, some, strict=True)
                ]
                for some in (exact, near)
            ]
        )
    assert found[0] == found[1] == found[2]
    assert all(sum(map(len, some)) > 10 for some in found[0])


def test_clusters() -> None:
    clusters = np.array([[20, 10], [30, 10]], np.uint64)
    texts: Any = np.array([30, 10, 5, 20, 99], np.uint64)
    assert cluster_of(clusters, texts).tolist() == [10, 10, 5, 10, 99]
    assert cluster_of(NO_CLUSTERS, texts).tolist() == texts.tolist()
