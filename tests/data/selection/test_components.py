"""Groups that share a text are in one component, and no others are."""

import random

import numpy as np

from codepretrain.data.selection.components import Components, joins_of

KEYS = np.dtype([("group", "<u8"), ("text", "<u8")])


def keys(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array([*pairs], KEYS)


def exact_joins(sources: list[np.ndarray]) -> np.ndarray:
    return joins_of([found["text"] for found in sources], [found["group"] for found in sources])


def test_by_hand() -> None:
    # source a: groups 5 and 9 share text 1; source b: groups 9 and 2 share text 7 with nobody in a
    a, b = keys((5, 1), (9, 1), (4, 3)), keys((9, 7), (2, 7), (8, 8), (8, 9))
    joins = exact_joins([a, b])
    assert sorted(map(sorted, joins.tolist())) == [[2, 9], [5, 9]]
    of = Components(joins).of
    assert of(a["group"]).tolist() == [2, 2, 4]
    assert of(b["group"]).tolist() == [2, 2, 8, 8]


def test_without_shared_texts_every_group_is_its_own() -> None:
    joins = exact_joins([keys((1, 1), (1, 1)), keys((2, 2))])
    assert joins.shape == (0, 2)
    assert Components(joins).of(np.array([7, 1], np.uint64)).tolist() == [7, 1]


def test_agreement_with_a_search_through_the_graph() -> None:
    rng = random.Random(0)
    pairs = [(rng.randrange(2**63), rng.randrange(400)) for _ in range(500)]
    pairs += [(rng.choice(pairs)[0], rng.randrange(400)) for _ in range(200)]
    chain = [(1000 + n, 500 + n + step) for n in range(300) for step in (0, 1)]
    groups_of: dict[int, set[int]] = {}
    texts_of: dict[int, set[int]] = {}
    for group, text in pairs + chain:
        groups_of.setdefault(text, set()).add(group)
        texts_of.setdefault(group, set()).add(text)
    expected: dict[int, int] = {}
    for first in sorted(texts_of):
        todo = [first] if first not in expected else []
        while todo:
            group = todo.pop()
            if expected.setdefault(group, first) == first:
                new = {g for text in texts_of[group] for g in groups_of[text]}
                todo += new - expected.keys()
    rng.shuffle(chain)
    joins = exact_joins([keys(*pairs), keys(*chain)])
    groups = np.array(list(expected), np.uint64)
    assert Components(joins).of(groups).tolist() == list(expected.values())
    assert set(expected.values()) < set(expected)
