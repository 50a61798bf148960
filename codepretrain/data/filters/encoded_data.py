"""Drops files with encoded data: base64, hexadecimal bytes, Unicode escapes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

# The three expressions of StarCoder 2. The first one also matches a list of words, one per line.
# Its lookbehind changes no match, but tries each run of such characters only once.
_BASE64 = re.compile(r"(?<![a-zA-Z0-9+/\n=])[a-zA-Z0-9+/\n=]{64,}")
_HEXADECIMAL = re.compile(r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}")
_UNICODE = re.compile(r"(?:\\u[0-9a-fA-F]{4}){8,}")
# The characters of hexadecimal data, in runs as long as its shortest match: 8 pairs, 7 separators.
_HEXADECIMAL_RUN = re.compile(r"(?<![0-9a-fA-Fx,\\\s])[0-9a-fA-Fx,\\\s]{23,}")


@dataclass(frozen=True, kw_only=True)
class EncodedData(Filter):
    """Drops documents with a long piece of encoded data, or with much of it.

    Characters that match two of the expressions count twice.

    Source: Lozhkov et al. 2024 (StarCoder 2): a match longer than 1024 characters, or
    more than 50% of the file matched.
    """

    max_match: int = 1024
    max_share: float = 0.5

    def judge(self, document: Document) -> str | None:
        num_matched = 0
        for start, end in matches(document.text):
            if end - start > self.max_match:
                return "encoded_data"
            num_matched += end - start
        return "encoded_data" if num_matched > self.max_share * len(document.text) else None


def matches(text: str) -> Iterator[tuple[int, int]]:
    """Yields where the text matches an expression: start and end."""
    for match in _BASE64.finditer(text):
        yield match.span()
    for run in _HEXADECIMAL_RUN.finditer(text):
        # With the character after the run, which decides whether a word ends there.
        for match in _HEXADECIMAL.finditer(text, run.start(), run.end() + 1):
            yield match.span()
    if "\\u" in text:
        for match in _UNICODE.finditer(text):
            yield match.span()
