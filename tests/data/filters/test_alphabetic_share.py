from codepretrain.data.filters.alphabetic_share import count_alphanumeric, count_letters
from tests.data.filters.documents import reason


def test_a_quarter_of_the_characters_are_letters() -> None:
    assert reason("alphabetic_share", "a" * 25 + "1" * 75) is None
    assert reason("alphabetic_share", "a" * 24 + "1" * 76) == "alphabetic_share"
    assert reason("alphabetic_share", "é漢д,," + "," * 7) is None, "letters of any alphabet"
    assert reason("alphabetic_share", "") == "alphabetic_share"


def test_digits_count_in_some_languages() -> None:
    text = "a1" * 12 + "1" + "," * 75
    assert reason("alphabetic_share", text, "webassembly") is None
    assert reason("alphabetic_share", text[1:] + ",", "WebAssembly") == "alphabetic_share"
    assert reason("alphabetic_share", text, "C") == "alphabetic_share"
    assert reason("alphabetic_share", text, "C", all_alphanumeric=True) is None


def test_ascii_is_counted_as_any_text_is() -> None:
    ascii_text = "".join(map(chr, range(128))) * 2
    assert count_letters(ascii_text) == 104 == count_letters(ascii_text + "²")
    assert count_alphanumeric(ascii_text) == 124 == count_alphanumeric(ascii_text + "é") - 1
    assert count_letters("") == count_alphanumeric("") == 0
