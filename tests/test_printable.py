import unicodedata

import pytest

from codepretrain.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve — 東京 🙂\n\tx", "naïve — 東京 🙂\n\tx"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\x00\x7f\x9b", "a\\rb\\x00\\x7f\\x9b"),
        ("a\u202eb\u2066c\ufeff", "a\\u202eb\\u2066c\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ue000\U000e0041", "\\ue000\\U000e0041"),
        ("é\u0301\u200d\u00a0\u3000", "é\u0301\u200d\u00a0\u3000"),
    ],
)
def test_what_controls_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_on_one_line() -> None:
    assert printable("a\n\tb", kept="") == "a\\n\\tb"


def test_no_control_character_is_left() -> None:
    every = "".join(map(chr, range(0x11000)))
    shown = printable(every, kept="")
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp", "Co")]
