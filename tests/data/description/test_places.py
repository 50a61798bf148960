import numpy as np
import pytest

from codepretrain.data.description.places import SPLITS_AND_DROPPED, find_place, is_in, place_of
from codepretrain.data.selection.document_codes import CODES
from codepretrain.errors import UserError

NAMES = ("train", "train", "near_duplicate", "validation", "over_limit", "train")
FOUND = np.array([CODES.index(name) for name in NAMES], np.uint8)


def test_numbers_of_every_document_by_hand() -> None:
    places = [place_of("s", FOUND, number) for number in range(6)]
    assert [(p.number, p.fate, p.split, p.number_in_split) for p in places] == [
        (0, "train", "train", 0),
        (1, "train", "train", 1),
        (2, "near_duplicate", "dropped", 0),
        (3, "validation", "validation", 0),
        (4, "over_limit", "dropped", 1),
        (5, "train", "train", 2),
    ]
    assert places[2].text == "document 2 of s: dropped as near duplicate (number 0 of dropped)"
    assert places[5].text == "document 5 of s: train (number 2 of train)"


def test_a_place_is_found_again_by_either_number() -> None:
    for number in range(6):
        place = place_of("s", FOUND, number)
        assert find_place("s", FOUND, number, split=None) == place
        assert find_place("s", FOUND, place.number_in_split, split=place.split) == place
    assert sum(is_in(FOUND, split) for split in SPLITS_AND_DROPPED).tolist() == [1] * 6


@pytest.mark.parametrize(
    ("split", "number", "message"),
    [
        (None, 6, "source 's' has documents 0 to 5, got 6"),
        ("train", 3, "split 'train' of source 's' has documents 0 to 2, got 3"),
        ("dropped", 2**62, "split 'dropped' of source 's' has documents 0 to 1, got 4,611,"),
    ],
)
def test_a_number_out_of_range(split: str | None, number: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_place("s", FOUND, number, split=split)


def test_a_split_without_documents() -> None:
    with pytest.raises(UserError, match="split 'validation' of source 's' has no documents, got 0"):
        find_place("s", FOUND[:2], 0, split="validation")
