"""The text of HTML: blocks are paragraphs, preformatted text is kept, markup is left out."""

import html
import re

_BLOCKS = frozenset(
    (
        *("p", "div", "pre", "blockquote", "ul", "ol", "dl", "dt", "dd", "table", "tr", "hr"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "section", "article"),
    )
)
_LEFT_OUT = frozenset(("script", "style"))
_MANY_BREAKS = re.compile(r"\n{3,}")
_SPACES = re.compile(r"\s\s+|[^\S ]")  # all but single spaces
# Possessive repetitions: without them, a name that no `>` follows takes quadratic time.
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*+|!)[^<>]*+>")


def html_text(markup: str) -> str:
    """Returns the text of a fragment of HTML; malformed markup is no error.

    Time is linear in the length. The standard library's HTMLParser is not used: it takes minutes
    for some fragments of a megabyte, and raises AssertionError for others.

    >>> html_text("<p>Use <code>x</code>:</p><pre><code>a  =  1\\n</code></pre>")
    'Use x:\\n\\na  =  1'
    """
    text = _Text()
    end = 0
    for tag in _TAG.finditer(markup):
        text.add(html.unescape(markup[end : tag.start()]))
        text.tag(tag[2].lower(), is_end=bool(tag[1]))
        end = tag.end()
    text.add(html.unescape(markup[end:]))
    lines = "".join(text.parts).split("\n")
    return _MANY_BREAKS.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip()


class _Text:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._num_open = {"pre": 0, "left out": 0}

    def tag(self, name: str, *, is_end: bool) -> None:
        counted = "left out" if name in _LEFT_OUT else name
        if counted in self._num_open:
            change = -1 if is_end else 1
            self._num_open[counted] = max(0, self._num_open[counted] + change)
        if name in _BLOCKS:
            self.parts.append("\n\n")
        elif name in ("br", "li") and not is_end:
            self.parts.append("\n- " if name == "li" else "\n")

    def add(self, data: str) -> None:
        if not data or self._num_open["left out"]:
            return
        if not self._num_open["pre"]:
            data = _SPACES.sub(" ", data)
            if not self.parts or self.parts[-1].endswith(("\n", " ")):
                data = data.lstrip()
        self.parts.append(data)
