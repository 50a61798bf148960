"""Drops files with many float literals: data and weights pasted into code."""

import re
from dataclasses import dataclass
from itertools import islice

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

# 1.5  1.  .5  1e9  1.5e-3f  1_000.5, but no part of 1.2.3 or 10.0.0.1, of 1..5, or of a name.
_FLOAT = re.compile(
    r"(?<![\w.])(?:"
    r"(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][+-]?[0-9]+"
    r")[fFdDlL]?(?![\w.])"
)


_NO_DIGITS = bytes(code for code in range(256) if code not in b"0123456789")


@dataclass(frozen=True, kw_only=True)
class FloatLiterals(Filter):
    """Drops documents with more than `max_literals` float literals.

    Source: Aryabumi et al. 2024: more than 1000. They do not define a literal; here it
    has a decimal point or an exponent, and is no part of a name, a version or an address.
    """

    max_literals: int = 1000

    def judge(self, document: Document) -> str | None:
        if _num_digits(document.text) <= self.max_literals:  # fast, and true of most documents
            return None
        limit = self.max_literals + 1
        found = sum(1 for _ in islice(_FLOAT.finditer(document.text), limit))
        return "float_literals" if found == limit else None


def _num_digits(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass").translate(None, _NO_DIGITS))
