import doctest

import pytest

from codepretrain.data.readers import html_text as module
from codepretrain.data.readers.html_text import html_text


def test_the_documented_example() -> None:
    assert doctest.testmod(module) == (0, 1)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a\n b</p>\n<p>c &lt; d &amp;</p>", "a b\n\nc < d &"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul>\n<li>a</li>\n<li>b</li></ul>c", "- a\n- b\n\nc"),
        ("<pre><code>if x:\n\n    y  # &gt;\n</code></pre>z", "if x:\n\n    y  # >\n\nz"),
        ("<a href='u'>text</a> <img src='i'> and <b>bold</b>", "text and bold"),
        ("<script>x</script>a<style>y</style>", "a"),
        ("a < b > c <unclosed", "a < b > c <unclosed"),
        ("a<!-- language: lang-py -->b<![if x]>c", "abc"),
        ("</p></pre>a", "a"),
        ("", ""),
    ],
)
def test_text(html: str, text: str) -> None:
    assert html_text(html) == text


@pytest.mark.parametrize("part", ["<!", "<a ", "<", "&", "<!--", "<p a='", "<![CDATA[", "<pre>"])
def test_malformed_markup_ends_soon(part: str) -> None:
    """The standard library's parser takes minutes for some of these, or raises."""
    assert isinstance(html_text(part * 200_000), str)


def test_a_long_name_of_a_tag_ends_soon() -> None:
    for markup in ("<" + "a" * 1_000_000, "</" + "a1" * 500_000, "<a" + " " * 1_000_000):
        assert html_text(markup).startswith("<")
