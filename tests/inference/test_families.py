import pytest

from codepretrain.inference.families import adjusted

P_VALUES = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}


def test_holm() -> None:
    found = adjusted(P_VALUES, method="holm")
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_benjamini_hochberg() -> None:
    found = adjusted(P_VALUES, method="benjamini-hochberg")
    assert found == pytest.approx({"a": 0.02, "b": 0.04, "c": 0.04, "d": 0.02})


def test_edges() -> None:
    assert adjusted({}, method="holm") == {}
    assert adjusted({"a": 1.0, "b": 1.0}, method="holm") == {"a": 1.0, "b": 1.0}
    with pytest.raises(ValueError, match="p-value of b: expected a number from 0 to 1, found nan"):
        adjusted({"a": 0.1, "b": float("nan")}, method="holm")
