import dataclasses
import random
import tracemalloc
from itertools import combinations
from pathlib import Path

import pytest

from codepretrain.data.deduplicate import NearDuplicateFinder, sketch
from codepretrain.data.deduplicate.minhash import ngrams_of, similarity
from tests.data.deduplicate.corpora import (
    SETTINGS,
    exact_jaccard,
    fresh_words,
    pair,
    search,
)

LEVELS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
PAIRS = 60  # of each level


def test_planted_pairs_against_the_exact_answer(tmp_path: Path) -> None:
    """Recall 0.997 and precision 0.901 at the threshold of 0.7.

    All errors are within 0.05 of the threshold, where the estimate's standard error of 0.029
    decides; the pairs planted at 0.7 have 0.6997, so those of them that are found count as errors.
    """
    rng = random.Random(0)
    planted = [(level, pair(rng, level)) for level in LEVELS for _ in range(PAIRS)]
    texts = {2 * i + j: text for i, (_, two) in enumerate(planted) for j, text in enumerate(two)}
    found, _ = search(tmp_path / "a", texts, num_parts=3)
    assert all(larger == smaller + 1 for larger, smaller in found.items())
    detected = {smaller // 2 for smaller in found.values()}
    share = {
        level: sum(i in detected for i, (of, _) in enumerate(planted) if of == level) / PAIRS
        for level in LEVELS
    }
    exact = {i for i, (_, two) in enumerate(planted) if exact_jaccard(*two) >= 0.7}
    recall = len(exact & detected) / len(exact)
    precision = len(exact & detected) / len(detected)
    assert recall == pytest.approx(0.997, abs=5e-4)
    assert precision == pytest.approx(0.901, abs=5e-4)
    assert share[0.5] == share[0.55] == share[0.6] == 0
    assert share[0.65] == pytest.approx(0.05, abs=5e-3)
    assert share[0.7] == pytest.approx(0.50, abs=5e-3)
    assert share[0.75] == pytest.approx(0.98, abs=5e-3)
    assert share[0.8] == share[0.85] == share[0.9] == share[0.95] == 1


def test_equal_texts_are_one_and_texts_without_words_are_none(tmp_path: Path) -> None:
    first, second = pair(random.Random(1), 0.9)
    texts = [(4, first), (3, ""), (9, second), (4, first), (5, "..."), (9, second)]
    found, counts = search(tmp_path / "a", texts, num_parts=2)
    assert found == {9: 4}
    assert (counts.sketches, counts.clusters, counts.near_pairs) == (4, 1, 1)


def test_a_chain_of_near_duplicates_is_one_cluster(tmp_path: Path) -> None:
    words = fresh_words(random.Random(2), 600)
    texts = {i: " ".join(words[25 * i : 25 * i + 400]) for i in range(9)}
    assert exact_jaccard(texts[0], texts[1]) > 0.85
    assert exact_jaccard(texts[0], texts[8]) < 0.4
    found, counts = search(tmp_path / "a", texts)
    assert found == dict.fromkeys(range(1, 9), 0)
    assert counts.clusters == 1


def mixed_texts(count: int, seed: int = 3) -> list[tuple[int, str]]:
    """Pairs of several similarities, some of them three times."""
    rng = random.Random(seed)
    texts: list[tuple[int, str]] = []
    for _ in range(count):
        two = pair(rng, rng.choice([0.3, 0.6, 0.7, 0.8, 0.9]), num_ngrams=60)
        keyed = [(rng.getrandbits(64), text) for text in two]
        texts += keyed + [keyed[0]] * rng.choice([0, 0, 2])
    return texts


def test_order_parts_and_memory_do_not_matter(tmp_path: Path) -> None:
    texts = mixed_texts(150)
    expected, counts = search(tmp_path / "whole", texts)
    assert len(expected) > 60
    small = dataclasses.replace(SETTINGS, memory_bytes=2**16)
    for number, (num_parts, settings) in enumerate([(1, SETTINGS), (5, SETTINGS), (4, small)]):
        shuffled = random.Random(number).sample(texts, len(texts))
        found, again = search(
            tmp_path / str(number), shuffled, num_parts=num_parts, settings=settings
        )
        assert found == expected
        assert (again.clusters, again.near_pairs) == (counts.clusters, counts.near_pairs)


def test_work_grows_linearly(tmp_path: Path) -> None:
    work = {}
    for count in (100, 400):
        texts = mixed_texts(count)
        _, counts = search(tmp_path / f"mixed{count}", texts)
        work[count] = counts.records_sorted / len(texts)
    assert work[400] < 1.1 * work[100]


def test_work_grows_linearly_if_all_texts_are_near_duplicates(tmp_path: Path) -> None:
    rng = random.Random(4)
    beginning = " ".join(fresh_words(rng, 300))
    work = {}
    for count in (100, 400):
        texts = {i: f"{beginning} {' '.join(fresh_words(rng, 10))}" for i in range(count)}
        found, counts = search(tmp_path / f"near{count}", texts)
        assert len(found) == count - 1
        assert counts.candidate_pairs <= 2 * SETTINGS.num_bands * count, "not count²/2"
        work[count] = counts.records_sorted / count
    assert work[400] < 1.3 * work[100]


def test_memory_stays_within_the_settings_whatever_the_number_of_texts(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, memory_bytes=2**20)
    peaks = []
    for count in (150, 900):
        texts = mixed_texts(count)
        finder = NearDuplicateFinder(tmp_path / str(count), settings)
        (tmp_path / str(count)).mkdir()
        for start in range(0, len(texts), 50):  # the sketch of a part is in memory
            finder.add(sketch(texts[start : start + 50], settings))
        tracemalloc.start()
        assert len(finder.clusters()) > count / 3
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < settings.memory_bytes, peaks


def test_of_different_clusters_no_two_texts_are_near_duplicates(tmp_path: Path) -> None:
    """Exact similarity of all pairs; the estimate is at most 0.1 off, 3.5 standard errors."""
    texts = mixed_texts(150)
    found, _ = search(tmp_path / "a", texts)
    kept = [ngrams_of(text, 5) for key, text in dict(texts).items() if key not in found]
    assert len(kept) >= 150
    highest = max(similarity(*two) for two in combinations(kept, 2))
    assert 0.5 < highest < 0.8
