"""Text of documents on a terminal or a page: what would control it is escaped.

A document may hold anything: sequences that clear the screen or retitle the window, or characters
that reverse the order of those that follow.
"""

import unicodedata

# Control, surrogate, private use and unassigned characters, and separators of lines.
_ESCAPED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
# Of Cf: joiners, without which words of several scripts, and emoji, are spelled wrongly.
_HARMLESS = {"\u200c", "\u200d"}


def printable(text: str, *, kept: str = "\n\t") -> str:
    """Returns a text with escapes, as in Python, for characters that are not visible.

    Args:
      kept: control characters that are left as they are.

    >>> printable("naïve\\x1b[2J\\r\\n")
    'naïve\\\\x1b[2J\\\\r\\n'
    """
    return "".join(
        c if c in kept or not _is_escaped(c) else c.encode("unicode_escape").decode() for c in text
    )


def _is_escaped(character: str) -> bool:
    return unicodedata.category(character) in _ESCAPED and character not in _HARMLESS
