import pytest

from tests.data.filters.documents import reason


@pytest.mark.parametrize("language", ["JSON", "yaml"])
def test_size(language: str) -> None:
    line = "abcdefghi\n"
    assert reason("data_files", line * 5, language) is None
    assert reason("data_files", (line * 5)[1:], language) == "data_file_short"
    assert reason("data_files", line * 500, language) is None
    assert reason("data_files", line * 500 + "a", language) == "data_file_long"


def test_more_than_half_are_letters() -> None:
    assert reason("data_files", "a" * 51 + "1" * 49, "JSON") is None
    assert reason("data_files", "a" * 50 + "1" * 50, "JSON") == "data_file_alphabetic_share"


def test_lines_of_yaml() -> None:
    assert reason("data_files", "a" * 99 + "\n", "YAML") is None
    assert reason("data_files", "a" * 100 + "\n", "YAML") == "data_file_lines"
    assert reason("data_files", "a" * 100 + "\n", "JSON") is None
    short = "ab\n" * 100
    assert reason("data_files", "a" * 999 + "\n" + short, "YAML") is None
    assert reason("data_files", "a" * 1000 + "\n" + short, "YAML") == "data_file_lines"


def test_other_languages() -> None:
    assert reason("data_files", "1", "Python") is None
