import string

import pytest

from codepretrain.evals.language_model.windows import rolling_windows


def windows(text: str, max_seq_len: int) -> list[str]:
    pairs = rolling_windows([ord(c) for c in text], prefix=ord("^"), max_seq_len=max_seq_len)
    return [f"{''.join(map(chr, before))}|{''.join(map(chr, after))}" for before, after in pairs]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, []),
        (1, ["^|a"]),
        (4, ["^|abcd"]),
        (5, ["^|abcd", "abcd|e"]),
        (8, ["^|abcd", "d|efgh"]),
        (10, ["^|abcd", "d|efgh", "fgh|ij"]),
    ],
)
def test_windows_of_four(length: int, expected: list[str]) -> None:
    assert windows(string.ascii_letters[:length], 4) == expected


def test_each_token_is_predicted_once_from_at_most_a_row() -> None:
    text = string.ascii_letters
    for max_seq_len in (1, 2, 7, 51, 52, 53):
        found = [pair.split("|") for pair in windows(text, max_seq_len)]
        assert "".join(after for _, after in found) == text
        assert all(before and len(before + after) <= max_seq_len + 1 for before, after in found)
        assert all(("^" + text).find(before + after) >= 0 for before, after in found)
