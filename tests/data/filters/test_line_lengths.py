from tests.data.filters.documents import reason

SHORT = "\n" * 1000


def test_the_longest_line() -> None:
    assert reason("line_lengths", "x" * 1000 + SHORT) is None
    assert reason("line_lengths", "x" * 1001 + SHORT) == "long_line"


def test_the_mean_line() -> None:
    assert reason("line_lengths", "x" * 100 + "\n" + "x" * 100 + "\n") is None
    assert reason("line_lengths", "x" * 100 + "\n" + "x" * 101) == "long_mean_line"


def test_the_number_of_lines() -> None:
    assert reason("line_lengths", "x\n" * 100_000) is None
    assert reason("line_lengths", "x\n" * 100_001) == "too_many_lines"


def test_languages_with_long_lines() -> None:
    assert reason("line_lengths", "x" * 100_000, "markdown") is None
    assert reason("line_lengths", "x" * 100_001, "Markdown") == "long_line"
    assert reason("line_lengths", "x" * 1001, "Python") == "long_line"


def test_no_lines() -> None:
    assert reason("line_lengths", "") is None
