import ast
import warnings

import pytest

from codepretrain.data.python_syntax import parse_expression, parse_module

DEEP = "(" * 5000 + ")" * 5000


@pytest.mark.parametrize("code", ["def", "x = \0", "\ud800 = 1", DEEP, "print 1"])
def test_what_is_no_python_gives_none(code: str) -> None:
    assert parse_module(code) is None
    assert parse_expression(code) is None


def test_style_is_not_warned_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(parse_module("x = '\\d' is 1"), ast.Module)
        assert isinstance(parse_expression("'\\d' is 1"), ast.Compare)


def test_statements_are_no_expressions() -> None:
    assert parse_expression("x = 1") is None
    assert parse_module("x = 1") is not None
