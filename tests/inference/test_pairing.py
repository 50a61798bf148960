import pytest

from codepretrain.inference.pairing import places_of


def test_items_in_another_order() -> None:
    assert places_of(["a", "b", "c"], ["c", "a", "b"]).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("ids", "others"), [(["a", "a"], ["a", "a"]), (["a", "b"], ["a", "b", "b"])]
)
def test_two_items_with_one_id_are_not_paired(ids: list[str], others: list[str]) -> None:
    with pytest.raises(ValueError, match="found an id more than once"):
        places_of(ids, others)
