import pytest

from tests.data.filters.documents import reason


def test_any_occurrence_of_0x_is_dropped() -> None:
    assert reason("hexadecimal_prefix", "x = 10") is None
    assert reason("hexadecimal_prefix", "0X10 0 x") is None
    assert reason("hexadecimal_prefix", "a0x") == "hexadecimal"


@pytest.mark.parametrize(("number", "expected"), [(3, None), (4, "hexadecimal")])
def test_the_limit(number: int, expected: str | None) -> None:
    assert reason("hexadecimal_prefix", "0x1 " * number, max_occurrences=3) == expected
