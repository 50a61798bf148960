import numpy as np

from codepretrain.data.deduplicate import sketch, sketch_width
from codepretrain.data.deduplicate.minhash import (
    band_keys,
    ngrams_of,
    signature_bytes,
    signature_of,
)
from codepretrain.data.deduplicate.sketch import as_bytes, as_numbers
from tests.data.deduplicate.corpora import SETTINGS


def test_one_record_a_text_with_words() -> None:
    texts = [(5, "one text of some words"), (2**63 + 1, "another"), (7, ""), (8, "?!")]
    made = sketch(texts, SETTINGS)
    assert made.shape == (2, 8 + 256 + 8 * 42) == (2, sketch_width(SETTINGS))
    assert as_numbers(made[:, :8]).tolist() == [5, 2**63 + 1]
    signature = signature_of(ngrams_of(texts[0][1], 5), 256)
    assert made[0, 8:264].tolist() == signature_bytes(signature).tolist()
    assert made[0, 264:].tobytes() == band_keys(signature, SETTINGS).astype(">u8").tobytes()
    assert sketch([], SETTINGS).shape == (0, 600)


def test_numbers_as_bytes_sort_alike() -> None:
    numbers = np.array([2**63, 1, 256, 2**64 - 1, 255], np.uint64)
    rows = as_bytes(numbers)
    assert (as_numbers(rows) == numbers).all()
    assert sorted(map(bytes, rows)) == [bytes(row) for row in rows[np.argsort(numbers)]]
    assert as_bytes(numbers[:4].reshape(2, 2)).shape == (2, 16)
