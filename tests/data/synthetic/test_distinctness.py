"""Distinct programs and near-duplicates, against values worked out by hand."""

import itertools
import random

from codepretrain.data.deduplicate.minhash import similarity
from codepretrain.data.synthetic.distinctness import (
    SIMILARITY,
    Distinctness,
    _has_earlier_near_duplicate,
    _shingles,
    distinctness,
    normalized_program,
    shape,
)

ADD = "def add(a, b):\n    return a + b\n"
RENAMED = "def plus(x, y):\n    '''Adds.'''\n    # a comment\n    return x + y\n"
OTHER = "def add(a, b):\n    return a - b\n"
CONSTANTS = ("def f(x):\n    return x + 1\n", "def f(x):\n    return x + 2\n")


def test_names_comments_and_docstrings_do_not_count() -> None:
    assert normalized_program(ADD) == normalized_program(RENAMED) != normalized_program(OTHER)
    assert normalized_program("sum(x)") != normalized_program("max(x)")
    first, second = CONSTANTS
    assert normalized_program(first) != normalized_program(second)
    assert shape(first) == shape(second)
    assert normalized_program("def (") == "def ("


def test_a_program_that_is_nested_too_deeply_counts_as_its_text() -> None:
    deep = "x = " + " + ".join(["1"] * 900)
    assert normalized_program(deep) == deep
    assert shape("def f():\n    return " + "-" * 2000 + "1").startswith("def f")


def test_shares() -> None:
    pairs = [
        ("Add  a.", ADD),
        ("add A.", RENAMED),
        ("Subtract.", OTHER),
        *zip("xy", CONSTANTS, strict=True),
    ]
    assert distinctness(pairs) == Distinctness(
        num_programs=5,
        distinct_programs=0.8,
        distinct_shapes=0.6,
        distinct_statements=0.8,
        near_duplicates=0.0,
    )


def test_near_duplicates_agree_with_the_exact_answer() -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefghij", k=60)) for _ in range(40)]
    for text in texts[:20]:  # planted, each with some words changed
        words = text.split()
        for place in rng.sample(range(60), rng.randint(0, 3)):
            words[place] = "z"
        texts.append(" ".join(words))
    sets = [_shingles(f"{text}\n") for text in texts]
    exact = [False] * len(texts)
    for i, j in itertools.combinations(range(len(texts)), 2):
        exact[j] = exact[j] or similarity(sets[i], sets[j]) >= SIMILARITY
    assert 3 <= sum(exact) < 20
    assert _has_earlier_near_duplicate([(text, "") for text in texts]) == exact
