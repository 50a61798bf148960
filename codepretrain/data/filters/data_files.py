"""Drops JSON and YAML files that are data and not configuration."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.alphabetic_share import count_letters
from codepretrain.data.filters.filter import Filter, is_one_of


@dataclass(frozen=True, kw_only=True)
class DataFiles(Filter):
    """Drops JSON and YAML by size, share of letters, and (YAML only) length of lines.

    Source: Li et al. 2023 (StarCoder): 50 to 5000 characters and more than 50% letters
    are kept; of YAML, a mean line below 100 and a maximum line below 1000 characters.
    """

    languages: tuple[str, ...] | None = ("JSON", "YAML")
    min_characters: int = 50
    max_characters: int = 5000
    min_alphabetic: float = 0.5
    line_languages: tuple[str, ...] = ("YAML",)
    max_mean: float = 100.0
    max_line: int = 1000

    def judge(self, document: Document) -> str | None:
        text = document.text
        if len(text) < self.min_characters:
            return "data_file_short"
        if len(text) > self.max_characters:
            return "data_file_long"
        if count_letters(text) <= self.min_alphabetic * len(text):
            return "data_file_alphabetic_share"
        if is_one_of(document.language, self.line_languages):
            lengths = [len(line) for line in text.splitlines()]
            if max(lengths) >= self.max_line or sum(lengths) >= self.max_mean * len(lengths):
                return "data_file_lines"
        return None
