import ast
import sysconfig
from pathlib import Path

import pytest

from codepretrain.data.python_syntax import parse_expression, parse_module
from codepretrain.data.readers.docstrings import docstrings, strip_docstrings

CODE = '''\
#!/usr/bin/env python
"""Module."""

import os


class A:
    """Class,
    in two lines."""

    x = "kept"

    def only(self):
        """Alone in its body."""

    def both(self): "same line"; return 1  # comment

    async def last(self):
        r"""Raw \\d naïve."""  # a comment beside it

        return """not a docstring"""


if os:
    def inner():
        ("paren"
         "thesised")
        y = 1
'''
STRIPPED = """\
#!/usr/bin/env python

import os


class A:

    x = "kept"

    def only(self):
        ...

    def both(self): ...; return 1  # comment

    async def last(self):
        ...  # a comment beside it

        return \"\"\"not a docstring\"\"\"


if os:
    def inner():
        y = 1
"""


def test_by_hand() -> None:
    tree = parse_module(CODE)
    assert tree is not None
    assert docstrings(tree) == [
        "Module.",
        "Class,\nin two lines.",
        "Alone in its body.",
        "same line",
        "Raw \\d naïve.",
        "parenthesised",
    ]
    assert strip_docstrings(CODE, tree) == STRIPPED


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end_of_python(newline) -> None:
    code = CODE.replace("\n", newline)
    tree = parse_module(code)
    assert tree is not None
    assert strip_docstrings(code, tree) == STRIPPED.replace("\n", newline)


def test_standard_library_still_parses_to_the_same_code() -> None:
    """All but the docstrings is as it was: compared as syntax trees without them."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.glob("[a-d]*.py")):
        code = path.read_text(encoding="utf-8-sig")
        tree = parse_module(code)
        assert tree is not None, path
        stripped = parse_module(strip_docstrings(code, tree))
        assert stripped is not None, path
        assert not docstrings(stripped)
        assert _without_docstrings(tree) == _without_docstrings(stripped), path


def _without_docstrings(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            vars(node)["body"] = [
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and (statement is body[0] or statement.value.value is ...)
                )
            ]
    return ast.dump(tree)


def test_what_is_no_python_gives_none() -> None:
    assert parse_module("def") is None
    assert parse_module("a\0b") is None
    assert parse_module("(" * 5000) is None
    assert parse_expression("1 +") is None
    assert parse_expression("x = 1") is None
    assert parse_module("'\\d'") is not None, "a warning is not an error"
