"""Drops files with long lines: minified code and data."""

from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter, is_one_of

# Their lines are paragraphs or data (Lozhkov et al. 2024).
LONG_LINE_LANGUAGES = (
    *("HTML", "JSON", "Markdown", "Roff", "Roff Manpage"),
    *("SMT", "TeX", "Text", "XML"),
)


@dataclass(frozen=True, kw_only=True)
class LineLengths(Filter):
    """Drops documents by the number of their lines, and the mean and maximum length of a line.

    Lengths are in characters, without line ends. In `long_line_languages` only the number of lines
    and `max_long_line` count.

    Source: Li et al. 2023 (StarCoder) and Chen et al. 2021 (Codex): a mean above 100 or a maximum
    above 1000. Lozhkov et al. 2024 (StarCoder 2): more than 100,000 lines, and a
    maximum above 100,000 in the languages whose lines are paragraphs or data.
    """

    max_mean: float = 100.0
    max_line: int = 1000
    max_lines: int = 100_000
    long_line_languages: tuple[str, ...] = LONG_LINE_LANGUAGES
    max_long_line: int = 100_000

    def judge(self, document: Document) -> str | None:
        lengths = [len(line) for line in document.text.splitlines()]
        if not lengths:
            return None
        if len(lengths) > self.max_lines:
            return "too_many_lines"
        has_long_lines = is_one_of(document.language, self.long_line_languages)
        if max(lengths) > (self.max_long_line if has_long_lines else self.max_line):
            return "long_line"
        if not has_long_lines and sum(lengths) > self.max_mean * len(lengths):
            return "long_mean_line"
        return None
