"""Parses SPDX license expressions, and decides whether a set of licenses permits them.

Source: SPDX specification 2.3, annex D. `AND` binds closer than `OR`, `WITH` closest. Operators may
be in lower case; a license matches without regard to case.
"""

import re
from collections.abc import Callable

_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9.+:-]+)")
_MAX_PARENTHESES = 100  # each is a level of recursion at most
_OPERATORS = ("AND", "OR", "WITH")


class InvalidExpressionError(ValueError):
    """A text is no SPDX license expression."""


def is_permitted(expression: str, permits: Callable[[str], bool]) -> bool:
    """Returns whether `permits` holds for all licenses joined by AND, and for one of those by OR.

    An exception (`GPL-2.0-only WITH Classpath-exception-2.0`) only adds permissions to its license,
    so the license decides.

    Args:
      permits: of one license identifier in lower case, such as `mit` or `gpl-2.0+`.

    Raises:
      InvalidExpressionError: not an SPDX expression.
    """
    tokens = _tokens(expression)
    if tokens.count("(") > _MAX_PARENTHESES:
        raise InvalidExpressionError(f"more than {_MAX_PARENTHESES} parentheses")
    result, end = _any(tokens, 0, permits)
    if end != len(tokens):
        raise InvalidExpressionError(f"unexpected {tokens[end]!r} in {expression!r}")
    return result


def _tokens(expression: str) -> list[str]:
    tokens, position = [], 0
    text = expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise InvalidExpressionError(f"unexpected {text[position:][:20]!r} in {expression!r}")
        upper = match[1].upper()
        tokens.append(upper if upper in _OPERATORS else match[1].lower())
        position = match.end()
    return tokens


def _any(tokens: list[str], start: int, permits: Callable[[str], bool]) -> tuple[bool, int]:
    result, end = _all(tokens, start, permits)
    while end < len(tokens) and tokens[end] == "OR":
        other, end = _all(tokens, end + 1, permits)
        result = result or other
    return result, end


def _all(tokens: list[str], start: int, permits: Callable[[str], bool]) -> tuple[bool, int]:
    result, end = _one(tokens, start, permits)
    while end < len(tokens) and tokens[end] == "AND":
        other, end = _one(tokens, end + 1, permits)
        result = result and other
    return result, end


def _one(tokens: list[str], start: int, permits: Callable[[str], bool]) -> tuple[bool, int]:
    if start < len(tokens) and tokens[start] == "(":
        result, end = _any(tokens, start + 1, permits)
        if end == len(tokens) or tokens[end] != ")":
            raise InvalidExpressionError("a parenthesis is not closed")
        return result, end + 1
    result, end = permits(_name(tokens, start)), start + 1
    if end < len(tokens) and tokens[end] == "WITH":
        _name(tokens, end + 1)
        end += 2
    return result, end


def _name(tokens: list[str], position: int) -> str:
    if position >= len(tokens) or tokens[position] in (*_OPERATORS, "(", ")"):
        found = repr(tokens[position]) if position < len(tokens) else "the end"
        raise InvalidExpressionError(f"expected a license, found {found}")
    return tokens[position]
