import numpy as np
import pytest

from codepretrain.data.deduplicate import DeduplicationSettings, key_of, locator_of, sketch
from tests.data.deduplicate.corpora import SETTINGS, document


def test_one_record_a_document_and_one_signature_a_text() -> None:
    texts = ["one text", "one text", "another", "", "?!"]
    made = sketch(enumerate(document(str(i), text) for i, text in enumerate(texts)), SETTINGS)
    assert made.documents.shape == (5, 40)
    assert made.signatures.shape == (2, 16 + 256)
    assert made.bands.shape == (2 * 42, 8 + 16)
    digests = made.documents[:, :16]
    assert (digests[0] == digests[1]).all()
    assert len(np.unique(digests, axis=0)) == 4
    assert made.documents[:, -8:].tolist() == [[0] * 7 + [i] for i in range(5)]
    nothing = sketch([], SETTINGS)
    assert nothing.documents.shape == (0, 40)
    assert nothing.bands.shape == (0, 24)


def test_keys_depend_on_source_and_id_only() -> None:
    settings = DeduplicationSettings(preferred_sources=("b", "a"))
    first = key_of(document("1", "x", "a"), settings)
    assert first == key_of(document("1", "other text", "a"), settings)
    assert len(first) == 16
    others = [document("2", "x", "a"), document("1", "x", "b"), document("1", "x", "c")]
    assert len({first, *(key_of(one, settings) for one in others)}) == 4
    ranks = [key_of(document("1", "x", source), settings)[0] for source in "bac"]
    assert ranks == [0, 1, 2]


def test_locators() -> None:
    assert locator_of(0, 0) == 0
    assert locator_of(3, 7) == 3 * 2**32 + 7
    assert locator_of(2**32 - 1, 2**32 - 1) == 2**64 - 1
    for shard, index in ((2**32, 0), (0, 2**32), (-1, 0), (0, -1)):
        with pytest.raises(AssertionError):
            locator_of(shard, index)
