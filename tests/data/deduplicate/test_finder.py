import dataclasses
import random
import tracemalloc
from itertools import combinations
from pathlib import Path

import pytest

from codepretrain.data.deduplicate import (
    EXACT,
    NEAR,
    DeduplicationSettings,
    DuplicateFinder,
    key_of,
    sketch,
)
from codepretrain.data.deduplicate.minhash import ngrams_of, similarity
from tests.data.deduplicate.corpora import (
    SETTINGS,
    document,
    exact_jaccard,
    fresh_words,
    keys,
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
    documents = [
        document(f"{i}.{j}", t) for i, (_, p) in enumerate(planted) for j, t in enumerate(p)
    ]
    found, _ = search(tmp_path / "a", documents, num_shards=3)
    by_key = {key_of(one, SETTINGS): one.id for one in documents}
    pairs = [sorted((by_key[one.key], by_key[one.kept_key])) for one in found]
    assert all(first.split(".")[0] == second.split(".")[0] for first, second in pairs)
    detected = {int(first.split(".")[0]) for first, _ in pairs}
    share = {
        level: sum(i in detected for i, (of, _) in enumerate(planted) if of == level) / PAIRS
        for level in LEVELS
    }
    exact = {i for i, (_, texts) in enumerate(planted) if exact_jaccard(*texts) >= 0.7}
    recall = len(exact & detected) / len(exact)
    precision = len(exact & detected) / len(detected)
    assert recall == pytest.approx(0.997, abs=5e-4)
    assert precision == pytest.approx(0.901, abs=5e-4)
    assert share[0.5] == share[0.55] == share[0.6] == 0
    assert share[0.65] == pytest.approx(0.07, abs=5e-3)
    assert share[0.7] == pytest.approx(0.48, abs=5e-3)
    assert share[0.75] == pytest.approx(0.98, abs=5e-3)
    assert share[0.8] == share[0.85] == share[0.9] == share[0.95] == 1


def test_exact_duplicates_within_and_across_sources(tmp_path: Path) -> None:
    texts = ["same words", "same words", "Same words", "", "", "...", "same words"]
    documents = [document(str(i), text, f"s{i % 2}") for i, text in enumerate(texts)]
    found, counts = search(tmp_path / "a", documents)
    assert all(one.kind == EXACT for one in found)
    assert (counts.documents, counts.clusters, counts.exact, counts.near) == (7, 2, 3, 0)
    dropped = {one.locator for one in found}
    assert dropped == {one.locator for one in sorted(found, key=lambda one: one.locator)}
    kept = {one.kept_locator for one in found}
    assert kept | dropped == {0, 1, 6, 3, 4}
    assert len(kept) == 2


@pytest.mark.parametrize("preferred", [("b",), ("c", "b"), ()])
def test_which_document_is_kept(tmp_path: Path, preferred: tuple[str, ...]) -> None:
    settings = DeduplicationSettings(preferred_sources=preferred)
    rng = random.Random(1)
    documents = []
    for number in range(20):
        first, second = pair(rng, 0.9)
        documents += [
            document(f"{number}", first, "a"),
            document(f"{number}", second, "b"),
            document(f"{number}", first, "c"),
        ]
    found, counts = search(tmp_path / "a", documents, settings=settings)
    assert len(found) == 40
    assert counts.clusters == 20
    kept = {documents[one.kept_locator].source for one in found}
    assert kept == ({preferred[0]} if preferred else {"a", "b", "c"})
    for one in found:
        is_same = documents[one.locator].text == documents[one.kept_locator].text
        assert one.kind == (EXACT if is_same else NEAR)
        assert one.key == key_of(documents[one.locator], settings)
        assert one.kept_key < one.key


def test_a_chain_of_near_duplicates_is_one_cluster(tmp_path: Path) -> None:
    words = fresh_words(random.Random(2), 600)
    documents = [document(str(i), " ".join(words[25 * i : 25 * i + 400])) for i in range(9)]
    assert exact_jaccard(documents[0].text, documents[1].text) > 0.85
    assert exact_jaccard(documents[0].text, documents[8].text) < 0.4
    found, counts = search(tmp_path / "a", documents)
    assert (len(found), counts.clusters) == (8, 1)


def mixed_documents(count: int, seed: int = 3) -> list:
    rng = random.Random(seed)
    documents = []
    for number in range(count):
        texts: tuple[str, ...] = pair(rng, rng.choice([0.3, 0.6, 0.7, 0.8, 0.9]), num_ngrams=60)
        texts += (texts[0],) * rng.choice([0, 0, 2])
        documents += [document(f"{number}.{i}", t, rng.choice("ab")) for i, t in enumerate(texts)]
    return documents


def test_order_shards_and_memory_do_not_matter(tmp_path: Path) -> None:
    documents = mixed_documents(150)
    expected, counts = search(tmp_path / "whole", documents)
    assert len(expected) > 150
    small = dataclasses.replace(SETTINGS, memory_bytes=2**16)
    for number, (num_shards, settings) in enumerate([(1, SETTINGS), (5, SETTINGS), (4, small)]):
        shuffled = random.Random(number).sample(documents, len(documents))
        found, again = search(
            tmp_path / str(number), shuffled, num_shards=num_shards, settings=settings
        )
        assert keys(found) == keys(expected)
        assert [one.locator for one in found] == sorted(one.locator for one in found)
        assert again.clusters == counts.clusters
        assert (again.exact, again.near) == (counts.exact, counts.near)


def test_work_grows_linearly(tmp_path: Path) -> None:
    work = {}
    for count in (100, 400):
        documents = mixed_documents(count)
        _, counts = search(tmp_path / f"mixed{count}", documents)
        work[count] = counts.records_sorted / len(documents)
    assert work[400] < 1.1 * work[100]


def test_work_grows_linearly_if_all_documents_are_near_duplicates(tmp_path: Path) -> None:
    rng = random.Random(4)
    beginning = " ".join(fresh_words(rng, 300))
    work = {}
    for count in (100, 400):
        texts = [f"{beginning} {' '.join(fresh_words(rng, 10))}" for _ in range(count)]
        documents = [document(str(i), text) for i, text in enumerate(texts)]
        found, counts = search(tmp_path / f"near{count}", documents)
        assert len(found) == count - 1
        assert counts.candidate_pairs <= 2 * SETTINGS.num_bands * count, "not count²/2"
        work[count] = counts.records_sorted / count
    assert work[400] < 1.3 * work[100]


def test_memory_stays_within_the_settings_whatever_the_number_of_documents(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, memory_bytes=2**20)
    settings.check("c")
    peaks = []
    for count in (150, 900):
        documents = mixed_documents(count)
        finder = DuplicateFinder(tmp_path / str(count), settings)
        (tmp_path / str(count)).mkdir()
        for start in range(0, len(documents), 50):  # the sketch of a shard is in memory
            part = enumerate(documents[start : start + 50], start)
            finder.add(sketch(part, settings))
        tracemalloc.start()
        assert sum(1 for _ in finder.find()) > count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < settings.memory_bytes, peaks


def test_of_kept_documents_no_two_are_near_duplicates(tmp_path: Path) -> None:
    """Exact similarity of all pairs; the estimate is at most 0.1 off, 3.5 standard errors."""
    documents = mixed_documents(150)
    found, _ = search(tmp_path / "a", documents)
    dropped = {one.locator for one in found}
    kept = [ngrams_of(d.text, 5) for i, d in enumerate(documents) if i not in dropped]
    assert len(kept) >= 150
    highest = max(similarity(*two) for two in combinations(kept, 2))
    assert 0.5 < highest < 0.8
