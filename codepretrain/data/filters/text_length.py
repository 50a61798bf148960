"""Drops short texts."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.alphabetic_share import count_alphanumeric
from codepretrain.data.filters.filter import Filter


@dataclass(frozen=True, kw_only=True)
class TextLength(Filter):
    """Drops documents with fewer than `min_characters` letters and digits.

    Source: Soboleva et al. 2023 (SlimPajama): fewer than 200 characters after punctuation,
    spaces, newlines and tabs are removed. Here symbols (as in mathematics) and combining marks do
    not count either.
    """

    min_characters: int = 200

    def judge(self, document: Document) -> str | None:
        is_short = count_alphanumeric(document.text) < self.min_characters
        return "text_length" if is_short else None
