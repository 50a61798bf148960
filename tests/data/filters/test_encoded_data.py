import random
import re

import pytest

from codepretrain.data.filters.encoded_data import matches
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


# The three expressions of StarCoder 2 as published, each tried at every position.
PUBLISHED = (
    re.compile(r"[a-zA-Z0-9+/\n=]{64,}"),
    re.compile(r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}"),
    re.compile(r"(?:\\u[0-9a-fA-F]{4}){8,}"),
)


def test_matches_are_those_of_the_published_expressions() -> None:
    rng = random.Random(0)
    pairs = ["ab,", "0x1F,", r"\x41", "7f ", "00\n", "12,\n  ", "ff\u3000", "0xAB\t"]
    escapes = [r"\u00e9", r"\uABCD"]
    noise = ["g", "é", "(", "0x", "\\", ",", " ", "abc", r"\u12", "=" * 70, "Zz/" * 30, "a", "1"]
    found = 0
    for _ in range(3000):
        common = rng.choice((pairs, escapes))
        text = "".join(
            rng.choice(common if rng.random() < 0.93 else noise) for _ in range(rng.randint(8, 60))
        )
        expected = [match.span() for e in PUBLISHED for match in e.finditer(text)]
        assert [*matches(text)] == expected
        found += len(expected)
    assert found > 3000


@pytest.mark.parametrize(
    "piece", ["ab ", "ab" + " " * 1000, "ac ad ae ", r"\x41", r"\u", " ", "x", "0x41,g"]
)
def test_long_texts_take_linear_time(piece: str) -> None:
    reason("encoded_data", piece * (1_000_000 // len(piece)))
