"""Programs that differ from a solution in one place, and whether its tests notice."""

import ast
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from codepretrain.data.synthetic.problem import Problem
from tests.data.synthetic.running import failures

_MAX_LINES = 50_000  # executed by one mutant: more is an endless loop

_PAIRS = (
    *((ast.Lt, ast.LtE), (ast.LtE, ast.Lt), (ast.Gt, ast.GtE), (ast.GtE, ast.Gt)),
    *((ast.Eq, ast.NotEq), (ast.NotEq, ast.Eq), (ast.In, ast.NotIn), (ast.NotIn, ast.In)),
    *((ast.Add, ast.Sub), (ast.Sub, ast.Add), (ast.Mult, ast.Add), (ast.FloorDiv, ast.Mult)),
    *((ast.And, ast.Or), (ast.Or, ast.And), (ast.LShift, ast.RShift)),
)
_OPERATORS: dict[type, type] = dict(_PAIRS)
_OTHER_NAMES = {"max": "min", "min": "max"}


def mutants(solution: str) -> Iterator[str]:
    """Yields each program with one changed operator, constant, condition, statement or result."""
    seen = {ast.unparse(ast.parse(solution))}
    for place in range(sum(1 for _ in ast.walk(ast.parse(solution)))):
        for kind in range(3):
            tree = ast.parse(solution)
            node = list(ast.walk(tree))[place]
            if not _change(node, kind):
                continue
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text not in seen:
                seen.add(text)
                yield text


def _change(node: ast.AST, kind: int) -> bool:
    """Changes a node in place; `kind` selects one of its changes."""
    if isinstance(node, ast.Compare) and kind < len(node.ops):
        other = _OPERATORS.get(type(node.ops[kind]))
        node.ops[kind] = other() if other else node.ops[kind]
    elif isinstance(node, ast.Constant) and type(node.value) is int and kind < 2:
        node.value += (1, -1)[kind]
    elif isinstance(node, ast.If | ast.FunctionDef | ast.For | ast.While) and kind < 2:
        if kind:
            place = len(node.body) - 1
            if isinstance(node.body[place], ast.Return):
                return False
            node.body[place] = ast.Pass()
        elif isinstance(node, ast.If):
            node.test = ast.UnaryOp(ast.Not(), node.test)
    elif kind == 0:
        return _change_once(node)
    else:
        return False
    return True


def _change_once(node: Any) -> bool:
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        other = _OPERATORS.get(type(node.op))
        node.op = other() if other else node.op
    elif isinstance(node, ast.Return) and node.value is not None:
        node.value = ast.Constant(None)
    elif isinstance(node, ast.Name) and node.id in _OTHER_NAMES:
        node.id = _OTHER_NAMES[node.id]
    elif isinstance(node, ast.comprehension) and node.ifs:
        node.ifs = []
    else:
        return False
    return True


def is_caught(problem: Problem, mutant: str) -> bool:
    """Returns whether a test fails, or the program does not end."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        count += 1
        if count > _MAX_LINES:
            raise _EndlessError
        return trace if frame.f_code.co_filename == "<string>" else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return bool(failures(problem, mutant))
    except (_EndlessError, MemoryError):
        return True
    finally:
        sys.settrace(before)


class _EndlessError(BaseException):
    """Not an Exception, so that a test which expects one does not take it."""
