import random

import numpy as np
import pytest

from codepretrain.data.deduplicate.minhash import (
    band_keys,
    ngrams_of,
    signature_bytes,
    signature_of,
    similarity,
)
from tests.data.deduplicate.corpora import SETTINGS, exact_jaccard, pair


def test_short_texts() -> None:
    assert len(ngrams_of("", 5)) == len(ngrams_of("...", 5)) == 0
    assert len(ngrams_of("one", 5)) == len(ngrams_of("1 2 3 4 5", 5)) == 1
    assert len(ngrams_of("1 2 3 4 5 6", 5)) == 2
    assert len(ngrams_of("a a a a a a a a", 5)) == 1, "distinct ones"


@pytest.mark.parametrize("jaccard", [0.2, 0.5, 0.7, 0.95])
def test_equal_minima_estimate_the_similarity(jaccard: float) -> None:
    """The share of equal hashes has mean J and variance J(1 − J)/P: Broder 1997."""
    rng = random.Random(0)
    errors = []
    for _ in range(200):
        texts = pair(rng, jaccard)
        ngrams = [ngrams_of(text, 5) for text in texts]
        exact = similarity(*ngrams)
        assert exact == exact_jaccard(*texts)
        first, second = (signature_of(one, 256) for one in ngrams)
        errors.append((first == second).mean() - exact)
    deviation = np.sqrt(jaccard * (1 - jaccard) / 256)
    assert abs(np.mean(errors)) < 4 * deviation / np.sqrt(len(errors))
    assert 0.8 * deviation < np.std(errors) < 1.2 * deviation


def test_the_signature_is_the_minimum_of_each_permutation() -> None:
    ngrams = ngrams_of(" ".join(map(str, range(1000))), 5)
    whole = signature_of(ngrams, 256)
    parts = [signature_of(part, 256) for part in np.array_split(ngrams, 7)]
    assert (np.minimum.reduce(parts) == whole).all()
    assert (signature_of(ngrams, 100) == whole[:100]).all()
    assert len(set(whole.tolist())) == 256


def test_bands() -> None:
    signature = signature_of(ngrams_of("a b c d e f g", 5), 256)
    keys = band_keys(signature, SETTINGS)
    assert len(set(keys.tolist())) == 42
    changed = signature.copy()
    changed[6] += np.uint32(1)  # the first row of band 1
    differs = band_keys(changed, SETTINGS) != keys
    assert differs.tolist() == [False, True] + [False] * 40
    unused = signature.copy()
    unused[252:] = 0
    assert (band_keys(unused, SETTINGS) == keys).all()
    same_rows = band_keys(np.zeros(256, np.uint32), SETTINGS)
    assert len(set(same_rows.tolist())) == 42, "bands of different numbers share no key"


def test_bytes_of_unequal_hashes_are_equal_by_chance_only() -> None:
    """Also of n-grams whose hashes agree modulo 256, which all permutations keep."""
    shared, own = 0x12345678, 0x9ABCDE00
    first, second = (
        signature_of(np.array([shared, other], np.uint64) << np.uint64(32), 256)
        for other in (own, own + 7 * 256)
    )
    equal = (signature_bytes(first) == signature_bytes(second)).mean()
    assert equal == pytest.approx(1 / 3, abs=0.1)
    assert (first == second).mean() == pytest.approx(1 / 3, abs=0.1)
