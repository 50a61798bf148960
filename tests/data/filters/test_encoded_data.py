import pytest

from tests.data.filters.documents import reason

CODE = "x = f( 1 )\n"
PIECES = {"base64": "QUJD" * 16, "hexadecimal": "0x1F," * 13, "unicode": r"\u00e9" * 11}


def test_a_match_is_longer_than_1024_characters() -> None:
    code = " - " * 2000
    assert reason("encoded_data", code + "A" * 1024 + code) is None
    assert reason("encoded_data", code + "A" * 1025 + code) == "encoded_data"


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_more_than_half_is_encoded(piece: str) -> None:
    rest = "-" * len(piece)
    assert reason("encoded_data", piece + rest) is None
    assert reason("encoded_data", piece + rest[1:]) == "encoded_data"


def test_short_pieces_are_not_encoded_data() -> None:
    assert reason("encoded_data", "A" * 63) is None
    assert reason("encoded_data", "A" * 64) == "encoded_data"
    assert reason("encoded_data", "1F," * 7) is None
    assert reason("encoded_data", "1F," * 8) == "encoded_data"
    assert reason("encoded_data", r"\u00e9" * 7) is None
    assert reason("encoded_data", r"\u00e9" * 8) == "encoded_data"
    assert reason("encoded_data", CODE * 100) is None
    assert reason("encoded_data", "") is None
