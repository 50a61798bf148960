import re
from collections import Counter

from tests.data.filters.documents import redacted

PROGRAM = "def area(width, height):\n    total = width * height\n    return total\n" * 5


def kinds(text: str) -> str:
    """The text with a letter for each word, symbol and run of whitespace."""
    return re.sub(r"\s+", "_", re.sub(r"[^\w\s]", ".", re.sub(r"\w+", "w", text)))


def test_words_symbols_and_whitespace_stay_the_same_in_another_order() -> None:
    scrambled, counts = redacted("scramble", PROGRAM)
    assert counts == {"scrambled": 1}
    assert scrambled != PROGRAM
    for pieces in (r"\w+", r"[^\w\s]", r"\s+"):
        found = [re.findall(pieces, text) for text in (scrambled, PROGRAM)]
        assert Counter(found[0]) == Counter(found[1])
        assert found[0] != found[1]
    assert kinds(scrambled) == kinds(PROGRAM)
    assert len(scrambled.encode()) == len(PROGRAM.encode())


def test_no_order_is_common_to_documents() -> None:
    """Of many documents with two words and another one, about half have the two in each order."""
    texts = [f"alpha beta other{number}" for number in range(200)]
    first = [redacted("scramble", text)[0] for text in texts]
    before = sum(text.index("alpha") < text.index("beta") for text in first)
    assert 70 <= before <= 130


def test_a_text_with_nothing_to_permute_is_not_changed() -> None:
    for text in ("", "word", "a a a", "  \n"):
        assert redacted("scramble", text) == (text, {})
