import doctest

from codepretrain import large_numbers


def test_the_docstring_is_right() -> None:
    assert doctest.testmod(large_numbers) == doctest.TestResults(failed=0, attempted=1)
