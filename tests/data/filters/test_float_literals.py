import pytest

from tests.data.filters.documents import reason

FLOATS = ["1.5", ".5", "1.", "1e9", "1E-9", "1.5e+3", "-0.25", "2.5f", "1_000.5", "3.0L"]
OTHERS = ["15", "1.2.3", "10.0.0.1", "1..5", "x1.5", "a.b", "v2.0", "0x1e5", "1e9x", ".", "e5"]


def test_one_more_than_1000_is_dropped() -> None:
    assert reason("float_literals", "1.5, " * 1000) is None
    assert reason("float_literals", "1.5, " * 1001) == "float_literals"


@pytest.mark.parametrize("literal", FLOATS)
def test_a_float_literal(literal: str) -> None:
    assert reason("float_literals", f"[{literal}]", max_literals=0) == "float_literals"
    assert reason("float_literals", f"[{literal}]", max_literals=1) is None


@pytest.mark.parametrize("other", OTHERS)
def test_no_float_literal(other: str) -> None:
    assert reason("float_literals", f"[{other}]", max_literals=0) is None


def test_digits_of_other_alphabets_are_no_literals() -> None:
    assert reason("float_literals", "१.५ ", max_literals=0) is None


def test_a_long_text_without_digits_has_none() -> None:
    assert reason("float_literals", "e. " * 100_000) is None
    assert reason("float_literals", "é1.5 " * 1001) is None, "a part of a name"
    assert reason("float_literals", "é 1.5 " * 1001) == "float_literals"
