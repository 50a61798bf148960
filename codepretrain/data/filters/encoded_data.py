"""Drops files with encoded data: base64, hexadecimal bytes, Unicode escapes."""

import re
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

# The three expressions of StarCoder 2. The first one also matches a list of words, one per line.
# Its lookbehind changes no match, but tries each run of such characters only once.
_ENCODINGS = (
    re.compile(r"(?<![a-zA-Z0-9+/\n=])[a-zA-Z0-9+/\n=]{64,}"),
    re.compile(r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}"),
    re.compile(r"(?:\\u[0-9a-fA-F]{4}){8,}"),
)


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
        for encoding in _ENCODINGS:
            for match in encoding.finditer(document.text):
                length = match.end() - match.start()
                if length > self.max_match:
                    return "encoded_data"
                num_matched += length
        return "encoded_data" if num_matched > self.max_share * len(document.text) else None
