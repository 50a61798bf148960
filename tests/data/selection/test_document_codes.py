"""Codes by hand; and on random documents: counts add up, and nothing is on both sides."""

import random
from itertools import product
from typing import Any

import numpy as np
import pytest

from codepretrain.config.schema import DeduplicationConfig
from codepretrain.data.keys import KEY_TYPE
from codepretrain.data.selection.document_codes import (
    CONTAMINATED,
    EXACT_DUPLICATE,
    NEAR_DUPLICATE,
    OVER_LIMIT,
    TRAIN,
    VALIDATION,
    Decision,
    by_priority,
    decide,
)
from codepretrain.data.selection.duplicates import cluster_of

NO_CLUSTERS = np.empty((0, 2), np.uint64)
POLICIES = ("keep", "drop_within", "drop_across")


def keys(*pairs: tuple[int, int]) -> np.ndarray:
    """From groups and texts."""
    return np.array([(group, text, 1) for group, text in pairs], KEY_TYPE)


def codes_of(
    sources: dict[str, np.ndarray],
    *,
    clusters: np.ndarray = NO_CLUSTERS,
    contaminated: dict[str, list[bool]] | None = None,
    fraction: float = 0.0,
    **settings,
) -> Decision:
    marks = {source: np.zeros(len(found), bool) for source, found in sources.items()}
    marks |= {source: np.array(found, bool) for source, found in (contaminated or {}).items()}
    return decide(sources, marks, clusters, DeduplicationConfig(**settings), fraction=fraction)


def test_every_code_by_hand() -> None:
    sources = {
        "a": keys((1, 10), (1, 10), (2, 20), (3, 30), (4, 40), (4, 40)),
        "b": keys((5, 10), (6, 60)),
    }
    clusters = np.array([[30, 20]], np.uint64)
    marks = {"a": [False, False, False, False, True], "b": [False, False]}
    found = codes_of(sources, clusters=clusters, contaminated=marks).codes
    assert found["a"][[0, 1, 4, 5]].tolist() == [TRAIN, EXACT_DUPLICATE, CONTAMINATED, OVER_LIMIT]
    assert sorted(found["a"][2:4].tolist()) == [TRAIN, NEAR_DUPLICATE]
    assert found["b"].tolist() == [TRAIN, TRAIN]
    across: Any = {"exact": "drop_across", "near": "drop_across", "priority": ("b",)}
    found = codes_of(sources, clusters=clusters, contaminated=marks, **across).codes
    assert found["b"].tolist() == [TRAIN, TRAIN]
    assert found["a"][:2].tolist() == [EXACT_DUPLICATE, EXACT_DUPLICATE]
    for near in ("keep", "ignore"):
        found = codes_of(sources, clusters=clusters, exact="keep", near=near).codes
        assert set(found["a"].tolist()) == {TRAIN}


@pytest.mark.parametrize("near", ["drop_within", "drop_across"])
def test_all_similar_documents_of_a_source_are_kept(near: str) -> None:
    """They neither are dropped nor cause another one to be; equal ones are dropped as elsewhere."""
    sources = {
        "a": keys((1, 10), (2, 20)),
        "commits": keys((3, 10), (4, 20), (5, 30), (6, 30)),
    }
    clusters = np.array([[20, 10], [30, 10]], np.uint64)
    found = codes_of(sources, clusters=clusters, near=near, keep_near=("commits",))
    assert sorted(found.codes["a"].tolist()) == [TRAIN, NEAR_DUPLICATE]
    assert sorted(found.codes["commits"].tolist()) == [TRAIN] * 3 + [EXACT_DUPLICATE]
    assert found.num_components == 1


def test_a_contaminated_copy_is_not_kept() -> None:
    sources = {"a": keys((1, 10), (2, 20)), "b": keys((3, 20))}
    clusters = np.array([[20, 10]], np.uint64)
    marks = {"a": [True, False], "b": [False]}
    found = codes_of(
        sources, clusters=clusters, contaminated=marks, exact="keep", near="drop_across"
    ).codes
    assert found["a"].tolist() == [CONTAMINATED, TRAIN]
    assert found["b"].tolist() == [TRAIN]


def test_documents_over_the_limit_affect_no_other() -> None:
    """Else the split would depend on how many of them were read with the last part."""
    pairs = [(2 * n, 100 + n) for n in range(60)] + [(2 * n + 1, 200 + n) for n in range(60)]
    bridge = [(2 * n + side, 300 + n) for n in range(60) for side in (0, 1)]
    marks = {"a": [False] * 120}
    short = codes_of({"a": keys(*pairs)}, fraction=0.5)
    long = codes_of({"a": keys(*pairs, *bridge)}, contaminated=marks, fraction=0.5)
    assert long.codes["a"][:120].tolist() == short.codes["a"].tolist()
    assert set(long.codes["a"][120:].tolist()) == {OVER_LIMIT}
    assert (short.num_joins, long.num_joins) == (0, 0)
    assert codes_of({"a": keys(*pairs, *bridge)}, fraction=0.5).num_components == 60


@pytest.mark.parametrize(("exact", "near"), [*product(POLICIES, (*POLICIES, "ignore"))])
def test_nothing_is_on_both_sides_of_the_split(exact: str, near: str) -> None:
    """Groups of dropped copies included: they are on the side of what was kept."""
    rng = random.Random(3)
    sources = {
        source: keys(
            *((rng.randrange(2**60, 2**60 + 700), rng.randrange(4000)) for _ in range(500))
        )
        for source in "abc"
    }
    clusters = np.array([[t, t - t % 40] for t in range(4000) if t % 40 in (1, 2)], np.uint64)
    if near == "ignore":
        clusters = NO_CLUSTERS
    marks = {source: [rng.random() < 0.05 for _ in range(480)] for source in sources}
    found = codes_of(
        sources, clusters=clusters, contaminated=marks, fraction=0.4, exact=exact, near=near
    )
    sides: dict[str, dict[int, set[int]]] = {"group": {}, "text": {}, "cluster": {}}
    for source, codes in found.codes.items():
        assert len(codes) == 500
        assert (codes == OVER_LIMIT).tolist() == [False] * 480 + [True] * 20
        assert (codes[:480] == CONTAMINATED).tolist() == marks[source]
        labels = cluster_of(clusters, sources[source]["text"])
        for code, (group, text, _), label in zip(codes, sources[source], labels, strict=True):
            if code in (TRAIN, VALIDATION):
                for what, key in (("group", group), ("text", text), ("cluster", label)):
                    sides[what].setdefault(int(key), set()).add(int(code))
    assert all(len(some) == 1 for of in sides.values() for some in of.values())
    every = np.concatenate(list(found.codes.values()))
    assert (every == EXACT_DUPLICATE).any() == (exact != "keep")
    assert (every == NEAR_DUPLICATE).any() == (near not in ("keep", "ignore"))
    both = {side for some in sides["text"].values() for side in some}
    assert both == {TRAIN, VALIDATION}
    assert found.num_too_large == 0


def test_the_group_of_a_dropped_copy_follows_the_text_that_was_kept() -> None:
    """Also of a near and of a contaminated one."""
    n = 60
    kept = [(1000 + i, 10_000 + 10 * i) for i in range(n)]
    equal = [(2000 + i, 10_000 + 10 * i) for i in range(n)]
    similar = [(3000 + i, 10_001 + 10 * i) for i in range(n)]
    sources = {"a": keys(*kept), "b": keys(*equal, *similar)}
    clusters = np.array([[text, text - 1] for _, text in similar], np.uint64)
    marks = {"b": [False] * n + [i % 2 == 0 for i in range(n)]}
    others = {2000: 500_000, 3000: 600_000}
    sources["c"] = keys(*((base + i, text + i) for base, text in others.items() for i in range(n)))
    found = codes_of(
        sources,
        clusters=clusters,
        contaminated=marks,
        fraction=0.5,
        exact="drop_across",
        near="drop_across",
    ).codes
    sides = [found["c"][:n].tolist(), found["c"][n:].tolist()]
    assert sides[0] == sides[1]
    assert 15 < sides[0].count(VALIDATION) < 45
    survivors = np.isin(found["a"], (TRAIN, VALIDATION))
    assert found["a"][survivors].tolist() == np.array(sides[0])[survivors].tolist()
    assert survivors.sum() == n


def test_a_component_larger_than_the_held_out_share_is_trained_on() -> None:
    pairs = [(7, i) for i in range(400)] + [(1000 + i, 1000 + i) for i in range(400)]
    found = codes_of({"a": keys(*pairs)}, fraction=0.45)
    assert found.num_too_large == 400
    assert set(found.codes["a"][:400].tolist()) == {TRAIN}
    assert codes_of({"a": keys(*pairs)}, fraction=0.55).num_too_large == 0


def test_priority() -> None:
    sources = dict.fromkeys("dacb")
    assert by_priority(sources, ()) == ["a", "b", "c", "d"]
    assert by_priority(sources, ("d", "x", "b")) == ["d", "b", "a", "c"]
