"""Syntax trees of arbitrary Python code, without the compiler's warnings about it."""

import ast
import warnings

_REFUSED = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse_module(code: str) -> ast.Module | None:
    """Returns the module's syntax tree, or None if this interpreter cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except _REFUSED:
            return None


def parse_expression(code: str) -> ast.expr | None:
    """Returns the syntax tree of one expression, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code, mode="eval").body
        except _REFUSED:
            return None
