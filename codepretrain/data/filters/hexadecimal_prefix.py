"""Drops files with hexadecimal literals: dumps of binary data, tables, addresses."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter


@dataclass(frozen=True, kw_only=True)
class HexadecimalPrefix(Filter):
    """Drops documents that contain `0x` more than `max_occurrences` times.

    Source: Aryabumi et al. 2024: any occurrence of the string `0x`, in this case.
    """

    max_occurrences: int = 0

    def judge(self, document: Document) -> str | None:
        return "hexadecimal" if document.text.count("0x") > self.max_occurrences else None
