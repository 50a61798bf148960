"""Values of Python expressions that depend on no name.

An expression is *closed* if it is built from literals, operators, subscripts, a few builtins and
methods of strings, bytes and containers. Its value is computed here by walking the tree, one listed
operation at a time: no code is executed, no name is looked up, and every intermediate value is
small, so no expression takes long. Sets are left out: their order differs between processes.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

MAX_SIZE = 1000  # items and characters of a value, those of its items included


class NotClosed(Exception):
    """The expression is not closed, raises, or has no small reproducible value."""


def value_of(node: ast.expr) -> Any:
    """Returns the value of a closed expression.

    Raises:
      NotClosed: it is not closed, evaluating it fails, or an intermediate value is too large.
    """
    try:
        return _value(node)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotClosed(str(error)) from error
    except (MemoryError, RecursionError) as error:
        raise NotClosed("too large") from error


def closed_expressions(tree: ast.AST) -> Iterator[ast.expr]:
    """Yields the largest closed expressions of a tree, except plain and signed literals."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.expr) and not _is_literal(node):
            try:
                value_of(node)
            except NotClosed:
                pass
            else:
                yield node
                continue
        todo.extend(ast.iter_child_nodes(node))


def _is_literal(node: ast.expr) -> bool:
    operand = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(operand, ast.Constant)


def _repeat_or_multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, _SIZED):
        left, right = right, left
    if isinstance(left, _SIZED) and isinstance(right, int) and len(left) * right > MAX_SIZE:
        raise NotClosed("too large")
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and (not isinstance(right, int) or abs(right) > 64):
        raise NotClosed("too large")
    return left**right


def _shift_left(left: Any, right: Any) -> Any:
    if isinstance(right, int) and right > MAX_SIZE:
        raise NotClosed("too large")
    return left << right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str | bytes) and re.search(r"\*|\d{3}", repr(left)):
        raise NotClosed("formatted with a width that may be large")
    return left % right


_SIZED = (str, bytes, list, tuple)
_BINARY: Mapping[type, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: _repeat_or_multiply,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: _modulo,
        ast.Pow: _power,
        ast.LShift: _shift_left,
        ast.RShift: operator.rshift,
        ast.BitOr: operator.or_,
        ast.BitAnd: operator.and_,
        ast.BitXor: operator.xor,
    }
)
_UNARY: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {
        ast.UAdd: operator.pos,
        ast.USub: operator.neg,
        ast.Not: operator.not_,
        ast.Invert: operator.invert,
    }
)
_COMPARE: Mapping[type, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.In: lambda left, right: left in right,
        ast.NotIn: lambda left, right: left not in right,
    }
)
_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            *(abs, all, any, bin, bool, bytes, chr, complex, dict, divmod, float, hex, int, len),
            *(list, max, min, oct, ord, repr, round, sorted, str, sum, tuple),
        )
    }
)
# No method that formats, pads or translates: results can be large or contain addresses.
_METHODS = frozenset(
    (
        *("capitalize", "casefold", "count", "decode", "encode", "endswith", "find", "get", "hex"),
        *("index", "isalnum", "isalpha", "isdigit", "isidentifier", "islower", "isspace"),
        *("istitle", "isupper", "items", "join", "keys", "lower", "lstrip", "partition"),
        *("removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit"),
        *("rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper"),
        "values",
    )
)


def _value(node: ast.expr) -> Any:
    evaluate = _NODES.get(type(node))
    if evaluate is None:
        raise NotClosed(type(node).__name__)
    value = evaluate(node)
    _check_size(value)
    return value


def _check_size(value: Any) -> None:
    """Counts characters, bytes and nested items, and stops when there are too many."""
    size, todo = 0, [value]
    while todo:
        item = todo.pop()
        if isinstance(item, int):
            size += item.bit_length() // 8
        elif isinstance(item, (*_SIZED, dict)):
            size += len(item)
        size += 1
        if size > MAX_SIZE:
            raise NotClosed("too large")
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            todo += item


def _constant(node: ast.Constant) -> Any:
    if node.value is ...:
        raise NotClosed("Ellipsis")
    return node.value


def _boolean(node: ast.BoolOp) -> Any:
    stops_at = isinstance(node.op, ast.Or)
    values = [_value(operand) for operand in node.values]
    return next((value for value in values if bool(value) == stops_at), values[-1])


def _comparison(node: ast.Compare) -> Any:
    operands = [_value(operand) for operand in (node.left, *node.comparators)]
    pairs = zip(operands, operands[1:], node.ops, strict=False)
    return all(_look_up(_COMPARE, type(op))(left, right) for left, right, op in pairs)


def _dictionary(node: ast.Dict) -> Any:
    if None in node.keys:
        raise NotClosed("unpacking")
    keys = [_value(key) for key in node.keys if key is not None]
    return dict(zip(keys, [_value(value) for value in node.values], strict=True))


def _subscript(node: ast.Subscript) -> Any:
    if not isinstance(node.slice, ast.Slice):
        return _value(node.value)[_value(node.slice)]
    parts = (node.slice.lower, node.slice.upper, node.slice.step)
    return _value(node.value)[slice(*(_value(part) if part else None for part in parts))]


def _call(node: ast.Call) -> Any:
    arguments = [_value(argument) for argument in node.args]
    if any(keyword.arg is None for keyword in node.keywords):
        raise NotClosed("unpacking")
    named = {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    if isinstance(node.func, ast.Name):
        if node.func.id == "bytes" and isinstance((arguments or [*named.values(), 0])[0], int):
            raise NotClosed("zeros of any number")
        return _look_up(_FUNCTIONS, node.func.id)(*arguments, **named)
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _METHODS:
        raise NotClosed("call")
    owner = _value(node.func.value)
    value = getattr(owner, node.func.attr)(*arguments, **named)
    return list(value) if node.func.attr in ("items", "keys", "values") else value


def _look_up(table: Mapping[Any, Callable[..., Any]], key: Any) -> Callable[..., Any]:
    if key not in table:
        raise NotClosed(str(key))
    return table[key]


_NODES: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {
        ast.BinOp: lambda node: _look_up(_BINARY, type(node.op))(
            _value(node.left), _value(node.right)
        ),
        ast.BoolOp: _boolean,
        ast.Call: _call,
        ast.Compare: _comparison,
        ast.Constant: _constant,
        ast.Dict: _dictionary,
        ast.IfExp: lambda node: _value(node.body if _value(node.test) else node.orelse),
        ast.List: lambda node: [_value(item) for item in node.elts],
        ast.Subscript: _subscript,
        ast.Tuple: lambda node: tuple(_value(item) for item in node.elts),
        ast.UnaryOp: lambda node: _look_up(_UNARY, type(node.op))(_value(node.operand)),
    }
)
