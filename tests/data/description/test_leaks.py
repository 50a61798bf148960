import random
from pathlib import Path

import numpy as np

from codepretrain.config.schema import DeduplicationConfig
from codepretrain.data.deduplicate import DeduplicationSettings
from codepretrain.data.description.leaks import SplitProof, split_proof
from codepretrain.data.keys import KEY_TYPE
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.document_codes import EXACT_DUPLICATE, TRAIN, VALIDATION, decide
from codepretrain.data.selection.links import load_clusters
from codepretrain.data.selection.selected import load_selection, selection_directory
from tests.fixtures.selecting import given, select

CLUSTERS = np.array([[30, 20]], np.uint64)
NO_JOINS = np.empty((0, 2), np.uint64)


def keys(*found: tuple[int, int]) -> np.ndarray:
    return np.array([(group, text, 1) for group, text in found], KEY_TYPE)


def proof(
    clusters: np.ndarray | None,
    joins: np.ndarray = NO_JOINS,
    **found: list[tuple[int, int, int]],
) -> SplitProof:
    """From the code, the group and the text of each document."""
    return split_proof(
        {source: keys(*((g, t) for _, g, t in some)) for source, some in found.items()},
        {source: np.array([code for code, _, _ in some]) for source, some in found.items()},
        clusters,
        joins,
    )


def test_a_split_without_leaks() -> None:
    found = proof(
        CLUSTERS,
        a=[(TRAIN, 1, 10), (TRAIN, 1, 11), (VALIDATION, 2, 20)],
        b=[(VALIDATION, 2, 30), (EXACT_DUPLICATE, 2, 10)],
    )
    assert found == SplitProof(
        num_groups=2,
        num_texts=4,
        num_clusters=3,
        num_joined=0,
        groups_held_out=1,
        texts_held_out=2,
        clusters_held_out=1,
        joined_held_out=0,
        groups_on_both_sides=0,
        texts_on_both_sides=0,
        clusters_on_both_sides=0,
        joined_on_both_sides=0,
    )
    assert found.holds


def test_each_kind_of_leak_is_counted_alone() -> None:
    """Between two sources: one group, one text, one pair of similar texts."""
    group = proof(CLUSTERS, a=[(TRAIN, 1, 10)], b=[(VALIDATION, 1, 11)])
    text = proof(CLUSTERS, a=[(TRAIN, 1, 10)], b=[(VALIDATION, 2, 10)])
    similar = proof(CLUSTERS, a=[(TRAIN, 1, 20)], b=[(VALIDATION, 2, 30)])
    counts = [
        (p.groups_on_both_sides, p.texts_on_both_sides, p.clusters_on_both_sides, p.holds)
        for p in (group, text, similar)
    ]
    assert counts == [(1, 0, 0, False), (0, 1, 1, False), (0, 0, 1, False)]


def test_similar_texts_were_not_searched() -> None:
    found = proof(None, a=[(TRAIN, 1, 20)], b=[(VALIDATION, 2, 30)])
    assert found.num_clusters is None
    assert found.clusters_on_both_sides is None
    assert found.holds


def test_joined_groups_by_hand() -> None:
    """Group 9 is not used; group 5 joins itself."""
    joins = np.array([[1, 2], [1, 3], [3, 4], [4, 9], [5, 5], [2, 5]], np.uint64)
    found = proof(
        CLUSTERS,
        joins,
        a=[(TRAIN, 1, 10), (VALIDATION, 3, 11), (TRAIN, 5, 12)],
        b=[(TRAIN, 2, 13), (VALIDATION, 4, 14)],
    )
    assert (found.num_joined, found.joined_held_out, found.joined_on_both_sides) == (4, 1, 1)
    assert not found.holds
    assert (found.groups_on_both_sides, found.texts_on_both_sides) == (0, 0)


def test_nothing_is_held_out() -> None:
    found = proof(CLUSTERS, a=[(TRAIN, 1, 20)])
    assert (found.groups_held_out, found.texts_held_out) == (0, 0)
    assert found.holds


def test_what_selection_decides_holds_and_a_code_that_is_moved_does_not() -> None:
    rng = np.random.default_rng(1)
    found = {
        name: np.array([(*rng.integers(1, 300, 2), 1) for _ in range(400)], KEY_TYPE)
        for name in ("a", "b")
    }
    marks = {name: np.zeros(400, bool) for name in found}
    settings = DeduplicationConfig(exact="keep", near="keep")
    pairs = [(text, text - 1) for text in range(2, 300, 37)]
    clusters = np.array(pairs, np.uint64)
    codes = dict(decide(found, marks, clusters, settings, fraction=0.5).codes)
    assert split_proof(found, codes, clusters, NO_JOINS).holds
    for name, held_out in {"a": 0, "b": 1}.items():
        moved = {n: code.copy() for n, code in codes.items()}
        moved[name] = np.where(np.arange(400) % 3 == 0, held_out, codes[name])
        if (moved[name] != codes[name]).any():
            assert not split_proof(found, moved, clusters, NO_JOINS).holds


def _pages(rng: random.Random, number: int) -> list[str]:
    """Two texts of 150 words that differ in two of them."""
    words = [f"w{rng.randrange(5000)}" for _ in range(150)]
    changed = list(words)
    for place in (30, 90):
        changed[place] = f"x{number}"
    return [" ".join(words), " ".join(changed)]


def _jaccard(one: str, other: str, size: int) -> float:
    grams = [
        {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
        for words in (one.split(), other.split())
    ]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def test_similar_texts_of_two_sources_by_an_exact_count(tmp_path: Path) -> None:
    """Similarity is computed anew, of all pairs. A split that ignores it would leak many."""
    rng = random.Random(0)
    pages = [_pages(rng, number) for number in range(60)]
    given(
        tmp_path / "study",
        {
            "a": [(f"a{number}", None, one) for number, (one, _) in enumerate(pages)],
            "b": [(f"b{number}", None, other) for number, (_, other) in enumerate(pages)],
        },
    )
    settings = DeduplicationConfig(near="keep")
    select(tmp_path / "study", "a", "b", fraction=0.5, deduplication=settings)
    size = DeduplicationSettings().ngram_size
    similar = [
        (i, j)
        for i, (one, _) in enumerate(pages)
        for j, (_, other) in enumerate(pages)
        if _jaccard(one, other, size) >= settings.min_similarity
    ]
    assert similar == [(number, number) for number in range(60)]
    keys = {s: open_documents(tmp_path / "study", s).keys() for s in ("a", "b")}
    codes = {s: load_selection(tmp_path / "study", s) for s in ("a", "b")}
    assert {*codes["a"].tolist()} == {TRAIN, VALIDATION}
    assert [codes["a"][i] for i, _ in similar] == [codes["b"][j] for _, j in similar]
    clusters = load_clusters(selection_directory(tmp_path / "study"))
    found = split_proof(keys, codes, clusters, NO_JOINS)
    assert (found.clusters_on_both_sides, found.num_clusters, found.num_texts) == (0, 60, 120)
    ignoring = decide(
        keys, {s: np.zeros(60, bool) for s in keys}, clusters[:0], settings, fraction=0.5
    )
    leaks = split_proof(keys, ignoring.codes, clusters, NO_JOINS).clusters_on_both_sides
    assert leaks is not None
    assert leaks > 15
