"""LaTeX tables of text, with the rules of `booktabs`."""

import re
from collections.abc import Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "–": "--",
    "×": r"$\times$",
    "→": r"$\to$",
    "∞": r"$\infty$",
    "·": r"$\cdot$",
    "σ": r"$\sigma$",
    "Δ": r"$\Delta$",
    "<": "$<$",
    ">": "$>$",
}


def escaped(text: str) -> str:
    """Returns a text with the characters replaced that LaTeX reads as commands.

    >>> escaped("code_25 − text_only, 5%")
    'code\\\\_25 $-$ text\\\\_only, 5\\\\%'
    """
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found[0]], text)


def tabular(columns: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table; every field is escaped."""
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line(header),
        r"\midrule",
        *map(_line, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _line(fields: Sequence[str]) -> str:
    return " & ".join(map(escaped, fields)) + r" \\"


def document(title: str, tables: Sequence[str]) -> str:
    """Returns tables one after the other, below a comment that says what they are of."""
    return "\n\n".join([f"% {title}. \\usepackage{{booktabs}}", *tables]) + "\n"
