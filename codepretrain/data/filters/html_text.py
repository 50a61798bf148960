"""Drops HTML files that are mostly markup."""

import html
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

_TAGS = ("/", "!", "?")  # or a letter: in any other place < is text
_INVISIBLE = ("script", "style")


@dataclass(frozen=True, kw_only=True)
class HtmlText(Filter):
    """Drops HTML whose visible text is short, or a small share of all characters.

    Source: Li et al. 2023 (StarCoder): visible text is kept at 100 characters or more
    and 20% or more. As in their published code, whitespace counts, and so does the title.
    """

    languages: tuple[str, ...] | None = ("HTML",)
    min_characters: int = 100
    min_share: float = 0.2

    def judge(self, document: Document) -> str | None:
        num_visible = len(visible_text(document.text))
        if num_visible < self.min_characters:
            return "html_text_short"
        return "html_text_share" if num_visible < self.min_share * len(document.text) else None


def visible_text(markup: str) -> str:
    """Returns the text of an HTML page without tags, comments, scripts and style sheets.

    Takes one pass. An unclosed tag, comment or script extends to the end of the page.

    >>> visible_text("<p>a <b>b</b><!-- c --><script>d</script>&amp;")
    'a b&'
    """
    lowered = markup.lower()
    if len(lowered) != len(markup):  # a few letters change their length: positions would be off
        markup = lowered
    pieces, position = [], 0
    while position >= 0:
        start = markup.find("<", position)
        if start < 0:
            pieces.append(markup[position:])
            break
        is_tag = lowered[start + 1 : start + 2].isalpha() or lowered[start + 1 : start + 2] in _TAGS
        pieces.append(markup[position : start if is_tag else start + 1])
        position = _end_of_tag(lowered, start) if is_tag else start + 1
    return html.unescape("".join(pieces))


def _end_of_tag(lowered: str, start: int) -> int:
    """Returns where the tag at `start`, or the invisible element that it opens, ends; else -1."""
    if lowered.startswith("<!--", start):
        return _after(lowered, "-->", start + 4)
    end = _after(lowered, ">", start)
    for name in _INVISIBLE:
        if lowered.startswith(f"<{name}", start) and _ends_name(lowered, start + 1 + len(name)):
            return _after(lowered, ">", _after(lowered, f"</{name}", end)) if end >= 0 else -1
    return end


def _ends_name(text: str, position: int) -> bool:
    return not text[position : position + 1].isalnum()


def _after(text: str, sought: str, position: int) -> int:
    found = text.find(sought, position) if position >= 0 else -1
    return found + len(sought) if found >= 0 else -1
