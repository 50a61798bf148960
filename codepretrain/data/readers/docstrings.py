"""Docstrings of a Python module: extracted, or removed from its code."""

import ast
from collections.abc import Iterator

_Owner = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(tree: ast.Module) -> list[str]:
    """Returns the module's docstrings in file order, without their indentation."""
    owners = sorted(_owners(tree), key=lambda owner: getattr(owner, "lineno", 0))
    return [text for owner in owners if (text := ast.get_docstring(owner))]


def strip_docstrings(code: str, tree: ast.Module) -> str:
    """Returns the code without its docstrings; every other byte is unchanged.

    A docstring that is alone on its lines is removed with them. Where it is the only statement of a
    body, or shares a line with others, `...` replaces it, so the result still parses.
    """
    lines = code.encode().splitlines(keepends=True)
    for owner in sorted(_owners(tree), key=lambda o: o.body[0].lineno, reverse=True):
        statement = owner.body[0]
        assert statement.end_lineno is not None
        assert statement.end_col_offset is not None
        first, last = statement.lineno - 1, statement.end_lineno - 1
        before = lines[first][: statement.col_offset]
        after = lines[last][statement.end_col_offset :]
        if len(owner.body) > 1 and not before.strip() and not after.strip():
            lines[first : last + 1] = []
        else:
            lines[first : last + 1] = [before + b"..." + after]
    return b"".join(lines).decode()


def _owners(tree: ast.Module) -> Iterator[_Owner]:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, _Owner) and _has_docstring(node):
            yield node
        # Definitions are in bodies of statements, handlers and cases, never in expressions.
        todo.extend(
            child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)
        )


def _has_docstring(node: _Owner) -> bool:
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
