import pytest

from codepretrain.data.filters.html_text import visible_text
from tests.data.filters.documents import reason


def page(num_visible: int, num_characters: int) -> str:
    tag = "<b class='" + "c" * (num_characters - num_visible - 12) + "'>"
    made = tag + "t" * num_visible
    assert len(made) == num_characters
    return made


def test_100_characters_and_a_fifth_are_visible() -> None:
    assert reason("html_text", page(100, 500), "HTML") is None
    assert reason("html_text", page(100, 501), "HTML") == "html_text_share"
    assert reason("html_text", page(99, 400), "HTML") == "html_text_short"
    assert reason("html_text", page(99, 400), "C") is None


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>one <b>two</b>\n\n three</p>", "one two\n\n three"),
        ("a<!-- <b>no</b> -->b", "ab"),
        ("a<!-- never closed", "a"),
        ("<SCRIPT src='x'>if (a < b) no</SCRIPT >yes", "yes"),
        ("<style>no</style><scripted>yes", "yes"),
        ("<script>never closed", ""),
        ("a<script", "a"),
        ("a < b, 1<2, <", "a < b, 1<2, <"),
        ("<title>yes</title>&lt;yes&gt;", "yes<yes>"),
        ("<!doctype html><?php no ?>yes", "yes"),
        ("İ<p>a</p>", "i̇a"),
        ("", ""),
    ],
)
def test_visible_text(markup: str, expected: str) -> None:
    assert visible_text(markup) == expected


@pytest.mark.parametrize("piece", ["<!--", "<script>", "<a", "<", "</", "&", "<style", "<!-->"])
def test_broken_pages_of_many_pieces_are_read_once(piece: str) -> None:
    visible_text(piece * 200_000)  # hours if every piece were searched to the end


def test_whitespace_counts_as_in_starcoder() -> None:
    """An indented list: of 2500 characters 200 are letters, 560 with the whitespace."""
    text = "        <b>abcde</b>\n" * 40
    text += "<a class='" + "c" * (2500 - len(text) - 12) + "'>"
    assert len(text) == 2500
    assert reason("html_text", text, "HTML") is None
    assert reason("html_text", text.replace(" ", ""), "HTML") == "html_text_share"
