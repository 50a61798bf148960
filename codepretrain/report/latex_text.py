"""LaTeX tables of text, with the rules of `booktabs`.

They are `longtable`s, which continue on the next page. One that is wider than a line has columns
that wrap, with widths in parts of the line: it fits into any class and margins.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from codepretrain.report.wording import NOT_THERE

_PACKAGES = r"\usepackage{array,booktabs,longtable}"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "→": r"$\to$",
    "∞": r"$\infty$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "√": r"$\surd$",
    "²": r"$^2$",
    "σ": r"$\sigma$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "†": r"\dag{}",
    "✓": r"$\surd$",
    "✗": r"$\times$",
    "°": r"$^\circ$",
    "α": r"$\alpha$",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",  # a dash in TeX's own fonts, as < and > are other characters
    '"': "''",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u202f": "~",
    "[": "{[}",  # an optional argument, and a star, of the end of the line before
    "*": "{*}",
}
_PRINTABLE = {chr(code) for code in range(0x20, 0x7F)} - set(_SPECIAL)

# Characters of a line: \footnotesize, 4.25 pt each, in the 345 pt of `article`, a narrow page.
_LINE = 80
_GAP = 1.5  # what separates two columns, in characters

Row = str | tuple[str, ...] | list[str]  # a heading, or the fields of a row


def escaped(text: str) -> str:
    """Returns a text with the characters replaced that LaTeX reads as commands, or cannot print.

    Accents are dropped, and other characters are named by their code: pdflatex stops at both.

    >>> escaped("code_25 − text_only, 5%")
    'code\\\\_25 $-$ text\\\\_only, 5\\\\%'
    >>> escaped("é 中")
    'e U+4E2D'
    """
    return "".join(map(_character, text))


def _character(character: str) -> str:
    if known := _SPECIAL.get(character):
        return known
    if character in _PRINTABLE:
        return character
    if character.isspace():
        return " "
    parts = [one for one in unicodedata.normalize("NFKD", character) if one != character]
    plain = "".join(map(_character, (one for one in parts if not unicodedata.combining(one))))
    return plain or ("" if unicodedata.combining(character) else f"U+{ord(character):04X}")


def table(
    caption: str,
    columns: str,
    header: Sequence[str],
    rows: Sequence[Row],
    *,
    common: str = "",
) -> str:
    """Returns a table; every field is escaped. Columns without a value are left out.

    Returns "" if all rows are headings, or there are none.

    Args:
      columns: "l" or "r" for each.
      rows: the fields of each, or the heading of the rows below it.
      common: the name of a column that the caption replaces if all rows say the same.
    """
    fields = [row for row in rows if not isinstance(row, str)]
    if not fields:
        return ""
    said = [{row[place] for row in fields} - {NOT_THERE, ""} for place in range(len(header))]
    lifted = header.index(common) if common and len(said[header.index(common)]) == 1 else None
    if lifted is not None:
        caption = f"{caption}. {common}: {next(iter(said[lifted]))}"
    kept = [place for place, of in enumerate(said) if of and place != lifted]
    columns = "".join(columns[place] for place in kept)
    lines = [row if isinstance(row, str) else [row[place] for place in kept] for row in rows]
    return _table(caption, columns, [header[place] for place in kept], lines)


def _table(caption: str, columns: str, header: Sequence[str], rows: Sequence[Row]) -> str:
    shares = _shares(columns, header, [row for row in rows if not isinstance(row, str)])
    wraps = bool(shares)
    lines = [
        r"{\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{{_preamble(columns, shares)}}}",
        rf"\caption{{{escaped(caption)}}}\\",
        r"\toprule",
        _line(header, wraps=wraps),
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *(
            _heading(row, columns) if isinstance(row, str) else _line(row, wraps=wraps)
            for row in rows
        ),
        r"\end{longtable}}",
    ]
    return "\n".join(lines)


def _shares(columns: str, header: Sequence[str], rows: Sequence[Row]) -> list[float]:
    """Returns the columns' parts of the line; none for a table that fits unwrapped.

    Columns wrap into about equally many lines, but none is narrower than its longest word, and
    numbers do not wrap if that is possible.
    """
    of_columns = [[fields[place] for fields in rows] for place in range(len(header))]
    whole = np.asarray([_GAP + max(map(len, of)) for of in of_columns])
    if np.maximum(whole, [_GAP + len(name) for name in header]).sum() <= _LINE:
        return []
    names = [_GAP + _longest_word(name) for name in header]
    least = np.maximum(names, [_GAP + max(map(_longest_word, of)) for of in of_columns])
    whole = np.maximum(names, whole)
    numbers = np.where([kind == "r" for kind in columns], whole, least)
    room = (_LINE - least.sum()) / max((numbers - least).sum(), 1e-9)
    floor = least + np.clip(room, 0, 1) * (numbers - least)
    parts = np.linspace(0, 1, 1001)[:, None]  # of the columns' whole widths
    widths = np.maximum(floor, parts * whole)
    width = widths[max(0, int(np.searchsorted(widths.sum(axis=1), _LINE, side="right")) - 1)]
    return [float(share) for share in 0.999 * width / width.sum()]  # 0.999: TeX rounds


def _longest_word(field: str) -> int:
    return max(map(len, re.split(r" |(?<=[_/])", field)))


def _preamble(columns: str, shares: Sequence[float]) -> str:
    if not shares:
        return columns
    ragged = {"l": r"\raggedright", "r": r"\raggedleft"}
    return "\n".join(
        rf">{{{ragged[kind]}\arraybackslash}}p{{\dimexpr{share:.4f}\linewidth-2\tabcolsep\relax}}"
        for kind, share in zip(columns, shares, strict=True)
    )


def _line(fields: Sequence[str], *, wraps: bool) -> str:
    text = " & ".join(map(escaped, fields))
    return (_breakable(text) if wraps else text) + r" \\"


def _breakable(text: str) -> str:
    """Returns an escaped text of which names may be broken after an underscore or a slash."""
    return re.sub(r"(\\_|/)(?=\S)", r"\1\\allowbreak{}", text)


def _heading(text: str, columns: str) -> str:
    kind = "l" if len(text) < _LINE else r">{\raggedright}p{\dimexpr\linewidth-2\tabcolsep\relax}"
    field = rf"\multicolumn{{{len(columns)}}}{{{kind}}}{{\itshape {_breakable(escaped(text))}}}"
    return rf"\addlinespace{field} \\*"


def document(title: str, tables: Sequence[str]) -> str:
    """Returns tables one after the other, below a comment that says what they are of and need."""
    return "\n\n".join([f"% {title}", f"% Preamble: {_PACKAGES}", *tables]) + "\n"
