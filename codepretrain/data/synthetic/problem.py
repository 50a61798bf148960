"""A programming problem: a statement, a reference solution if there is one, and tests.

A test is a sequence of steps that share their variables. A step is Python code that uses what the
solution defines, and what must hold for its result. The two are apart, because they run in
different processes (`verify.py`): a solution sees the code, never what is expected of it.
"""

import ast
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.config.parse import parse
from codepretrain.data.python_syntax import parse_expression, parse_module
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json

CUSTOM = "custom"  # the family of problems that name none
RESULT = "result"  # the name of a step's result in its check
_MAX_STEPS = 10_000
_PREDICATES = ("all", "any", "bool", "callable", "hasattr", "isinstance", "issubclass")


@dataclass(frozen=True)
class Step:
    """One step of a test.

    Attributes:
      code: an expression, or a statement if there is neither `check` nor `raises`.
      check: an expression that must be true of `result`, the expression's value.
      raises: the exception that evaluating the expression must raise.
    """

    code: str
    check: str | None = None
    raises: str | None = None


Test = tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem. `difficulty` is 1 (a line or two) to 5.

    Attributes:
      family: what generated it; a name of the user's own for other problems.
      parameters: what the family chose. Two problems with the same family and parameters differ
        only in wording and tests.
      name: the function or class that a solution must define.
      solution: the reference solution, or None.
      tests: all must pass. Some are examples in the statement.
    """

    statement: str
    name: str
    tests: tuple[Test, ...]
    solution: str | None = None
    family: str = CUSTOM
    difficulty: int = 3
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def id(self) -> str:
        """The family and a hash of everything but the reference solution."""
        contents = self.to_json()
        del contents["solution"]
        return f"{self.family}/{sha256_json(contents)[:16]}"

    @property
    def split_group(self) -> str:
        """The same for problems that share most of their text: those of one family."""
        return self.family if self.parameters and self.family != CUSTOM else self.id

    @property
    def group(self) -> str:
        """The same for problems that differ only in wording and tests."""
        if not self.parameters:
            return self.id
        return f"{self.family}/{sha256_json(dict(self.parameters))[:16]}"

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` reads."""
        fields = dataclasses.asdict(self)
        tests = [[_without_none(step) for step in test] for test in fields["tests"]]
        return {**fields, "tests": tests, "parameters": dict(self.parameters)}


def from_json(value: Any, *, path: str = "problem") -> Problem:
    """Returns the problem that a JSON object describes.

    Raises:
      UserError: an unknown or missing field, a value of the wrong type, no test that checks
        anything, a step that is not Python, or one that compares by itself.
    """
    if isinstance(value, Mapping) and "parameters" in value:
        value = dict(value)
        parameters = value.pop("parameters")
        if not isinstance(parameters, Mapping):
            raise UserError(f"{path}.parameters: expected an object")
    else:
        parameters = {}
    fields = parse(_Fields, value, path=path)
    problem = Problem(**{f.name: getattr(fields, f.name) for f in dataclasses.fields(fields)})
    problem = dataclasses.replace(problem, parameters=parameters)
    if objection := _objection(problem):
        raise UserError(f"{path}.{objection}")
    return problem


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """The fields of a problem that `parse` converts."""

    statement: str
    name: str
    tests: tuple[tuple[Step, ...], ...]
    solution: str | None = None
    family: str = CUSTOM
    difficulty: int = 3


def is_expression(code: str) -> bool:
    """Returns whether code is one expression."""
    return parse_expression(code) is not None


def _objection(problem: Problem) -> str | None:
    if not problem.name.isidentifier():
        return f"name: expected the name of a function or class, found {problem.name[:60]!r}"
    if "\0" in problem.statement:
        return "statement: contains a NUL character"
    steps = [step for test in problem.tests for step in test]
    if len(steps) > _MAX_STEPS:
        return f"tests: expected at most {_MAX_STEPS:,} steps, found {len(steps):,}"
    for number, step in enumerate(steps):
        if step.check is not None and step.raises is not None:
            return f"tests: step {number} has both `check` and `raises`"
        if step.check is None and step.raises is None:
            if parse_module(step.code) is None:
                return f"tests: step {number} is not Python: {step.code[:60]!r}"
        elif not is_expression(step.code):
            return f"tests: step {number} is not an expression: {step.code[:60]!r}"
        if step.check is not None and not _speaks_of_result(step.check):
            return f"tests: step {number}: expected an expression of `result`: {step.check[:60]!r}"
        if step.raises is not None and not step.raises.isidentifier():
            return f"tests: step {number}: expected the name of an exception: {step.raises[:60]!r}"
        if step.raises is None and _judges(step.code):
            return (
                f"tests: step {number}: an `assert` or a comparison runs beside the solution, "
                f"which can forge its result; use `check` on `result`: {step.code[:60]!r}"
            )
    if not any(step.check for step in steps):
        return "tests: expected a step with `check`, found none"
    return None


def _judges(code: str) -> bool:
    """Returns whether a step's code is a verdict: an assertion, or an expression of truth values.

    A solution's objects decide about comparisons, and its process can be made to report any result.
    """
    value = parse_expression(code)
    if value is not None:
        return _is_truth_value(value)
    module = parse_module(code)
    return module is not None and any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Assign) and _is_truth_value(node.value))
        for node in ast.walk(module)
    )


def _is_truth_value(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in _PREDICATES
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.Not)
    return isinstance(value, ast.Compare | ast.BoolOp)


def _speaks_of_result(check: str) -> bool:
    tree = parse_expression(check)
    return tree is not None and any(
        isinstance(node, ast.Name) and node.id == RESULT for node in ast.walk(tree)
    )


def _without_none(step: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if value is not None}
