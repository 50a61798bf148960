"""Drops short texts."""

import string
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, kw_only=True)
class TextLength(Filter):
    """Drops documents with fewer than `min_characters` characters.

    ASCII punctuation does not count, and a run of whitespace counts as one character, at the
    beginning and at the end as none.

    Source: Soboleva et al. 2023 (SlimPajama): fewer than 200 characters after punctuation, spaces,
    newlines and tabs are removed. Their published code removes repeated whitespace only, and so
    does this filter: it drops nothing of SlimPajama that they kept.
    """

    min_characters: int = 200

    def judge(self, document: Document) -> str | None:
        beginning = document.text[: 4 * self.min_characters]  # enough for most documents
        is_short = (
            _num_counted(beginning) < self.min_characters
            and _num_counted(document.text) < self.min_characters
        )
        return "text_length" if is_short else None


def _num_counted(text: str) -> int:
    return len(" ".join(text.translate(_PUNCTUATION).split()))
