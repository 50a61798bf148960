from tests.data.filters.documents import reason


def test_200_characters_without_punctuation_and_spaces() -> None:
    assert reason("text_length", "ab1, \n\té." * 50) is None
    assert reason("text_length", "ab1, \n\té." * 49 + "abc!") == "text_length"
    assert reason("text_length", "?" * 1000) == "text_length"
