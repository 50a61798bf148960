from tests.data.filters.documents import reason


def test_200_characters_without_punctuation_and_repeated_spaces() -> None:
    """`ab1 é` and a space, 33 times, are 198 characters; the last space is not counted."""
    text = "ab1, \n\té. " * 33
    assert reason("text_length", text + "abc!") is None
    assert reason("text_length", text + "ab!") is None
    assert reason("text_length", text + "a!") == "text_length"
    assert reason("text_length", " \n " + text + "a! \n ") == "text_length"


def test_punctuation_does_not_count() -> None:
    assert reason("text_length", "?" * 1000) == "text_length"
    assert reason("text_length", "") == "text_length"
    assert reason("text_length", "", min_characters=0) is None


def test_long_texts_are_judged_by_all_their_characters() -> None:
    assert reason("text_length", "." * 10_000 + "a" * 200) is None
    assert reason("text_length", "a. " * 99 + "." * 10_000) == "text_length"
    assert reason("text_length", " " * 10_000 + "a b " * 100 + " " * 10_000) is None
