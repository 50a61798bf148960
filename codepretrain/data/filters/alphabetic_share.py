"""Drops files with few letters: tables, tensors, drawings."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter, is_one_of

# ASCII is counted by deleting the rest, which is faster than looking at each character.
_NOT_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_NOT_ALPHANUMERIC = bytes(code for code in range(128) if not chr(code).isalnum())


@dataclass(frozen=True, kw_only=True)
class AlphabeticShare(Filter):
    """Drops documents in which less than `min_share` of the characters are letters.

    Letters are those of any alphabet. In `alphanumeric_languages`, digits count as letters. An
    empty document is dropped.

    Source: Li et al. 2023 (StarCoder) and Lozhkov et al. 2024 (StarCoder 2): 25%,
    alphanumeric in two assembly languages. To count as in Kocetkov et al. 2022 (The Stack) and
    Chen et al. 2021 (Codex), where all languages are alphanumeric, set `all_alphanumeric`.
    """

    min_share: float = 0.25
    all_alphanumeric: bool = False
    alphanumeric_languages: tuple[str, ...] = ("Motorola 68K Assembly", "WebAssembly")

    def judge(self, document: Document) -> str | None:
        digits = self.all_alphanumeric or is_one_of(document.language, self.alphanumeric_languages)
        counted = count_alphanumeric(document.text) if digits else count_letters(document.text)
        is_kept = document.text and counted >= self.min_share * len(document.text)
        return None if is_kept else "alphabetic_share"


def count_letters(text: str) -> int:
    """Returns the number of letters of any alphabet."""
    if text.isascii():
        return len(text.encode().translate(None, _NOT_LETTERS))
    return sum(map(str.isalpha, text))


def count_alphanumeric(text: str) -> int:
    """Returns the number of letters of any alphabet and digits."""
    if text.isascii():
        return len(text.encode().translate(None, _NOT_ALPHANUMERIC))
    return sum(map(str.isalnum, text))
