import doctest

from codepretrain.data.filters import filter as filters
from codepretrain.data.filters import html_text


def test_examples_of_docstrings() -> None:
    for module in (filters, html_text):
        results = doctest.testmod(module)
        assert results.attempted > 0
        assert results.failed == 0
