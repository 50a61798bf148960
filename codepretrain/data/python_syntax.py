"""Syntax trees of other people's Python, whatever the compiler thinks of its style."""

import ast
import warnings

_REFUSED = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse_module(code: str) -> ast.Module | None:
    """The module's syntax tree, or None where this interpreter finds none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except _REFUSED:
            return None


def parse_expression(code: str) -> ast.expr | None:
    """The syntax tree of a lone expression, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code, mode="eval").body
        except _REFUSED:
            return None
