"""Messages become one short printable line, whatever they quote."""

import doctest

import pytest

from codepretrain import errors
from codepretrain.errors import MAX_LINE, described, one_line, quoted


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_examples() -> None:
    assert doctest.testmod(errors).failed == 0


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("plain", "plain"),
        ("two\nlines\r\n  here", "two lines here"),
        ("a \x1b[31mred\x07 word", r"a \x1b[31mred\x07 word"),
        ("unpaired \udcff", r"unpaired \udcff"),
        ("→ and é stay", "→ and é stay"),
        ("x" * 300, "x" * 300),
    ],
)
def test_one_printable_line(message: str, line: str) -> None:
    assert one_line(message) == line


def test_a_long_word_is_cut_and_counted() -> None:
    line = one_line(f"no phase {'x' * 5000} here")
    assert line == f"no phase {'x' * 150}…(5,000 characters)…{'x' * 150} here"
    assert len(one_line("word " * 5000)) < MAX_LINE + 40


def test_quoted_never_raises() -> None:
    assert quoted(Broken()) == "<Broken>"
    assert quoted(10**10_000) == "<int>"
    assert len(quoted("y" * 5000)) <= 80
    assert described(ValueError()) == "ValueError"
    assert described(KeyError("a")) == "KeyError: 'a'"
