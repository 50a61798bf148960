"""Nested dicts to the dataclasses of `config/schema.py` and back, with errors that name the field.

An error names the full path, what was expected, what was found, and the nearest valid name:
`config.model.num_layer: no such field; did you mean num_layers?`
"""

import ast
import dataclasses
import difflib
import math
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from codepretrain.errors import UserError, quoted

T = TypeVar("T")
_MAX_WHOLE = 2**63 - 1  # of an int64
_MAX_LISTED = 20
_LITERAL_ERRORS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def parse(cls: type[T], value: Any, *, path: str = "config") -> T:
    """Returns `value` (nested dicts, lists and scalars) as an instance of dataclass `cls`.

    Raises:
      UserError: an unknown or a missing field, a value of the wrong type, or a number that is not
        finite or does not fit into 64 bits.
    """
    try:
        return _convert(cls, value, path)
    except RecursionError:
        raise UserError(f"{path}: the values are nested too deeply") from None


def to_dict(value: Any) -> Any:
    """Returns dataclasses and mappings as plain dicts, tuples as lists; the inverse of `parse`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value


def apply_override(
    cls: type, values: dict[str, Any], path: Sequence[str], text: str, *, root: str = "config"
) -> None:
    """Sets, in place, the leaf at `path` of nested dict `values` (a `cls`) to what `text` spells.

    Numbers, booleans, None, lists and dicts are read as Python literals; a field that holds text
    takes the text as given.

    Raises:
      UserError: the path does not lead to a field, or the text does not spell a value of its type.
    """
    spelled = ".".join([root, *path])
    node: Any = values
    hint: Any = cls
    for depth, name in enumerate(path):
        where = ".".join([root, *path[:depth]])
        valid, hint = _child(hint, node, name)
        if name not in node and name not in valid:
            raise UserError(f"{where}.{name}: no such field{suggestion(name, valid)}")
        if depth < len(path) - 1:
            node = node.get(name) if isinstance(node, dict) else None
            if not isinstance(node, dict):
                raise UserError(
                    f"{where}.{name} is a value, it has no field {quoted(path[depth + 1])}"
                )
    node[path[-1]] = _spelled_value(hint, text, spelled)


def spelled_value(hint: Any, text: str, path: str) -> Any:
    """Returns what `text` spells as a value of type `hint`; see `apply_override`."""
    return _convert(hint, _spelled_value(hint, text, path), path)


def suggestion(name: str, valid: Sequence[str]) -> str:
    """Returns "; did you mean X?" for the nearest of `valid`, else the list of valid names."""
    near = difflib.get_close_matches(name[:200], valid, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    listed = ", ".join([*valid][:_MAX_LISTED])
    more = f" and {len(valid) - _MAX_LISTED} more" if len(valid) > _MAX_LISTED else ""
    return f"; expected one of: {listed}{more}" if valid else ""


def _child(hint: Any, node: Any, name: str) -> tuple[list[str], Any]:
    """Returns the valid names below a node and the type of child `name`."""
    hint = _without_none(hint)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return list(hints), hints.get(name)
    if typing.get_origin(hint) is not None and isinstance(node, dict):
        item = typing.get_args(hint)[1]
        # A new weight or option may be added on the command line; a whole phase or source may not.
        scalar = not dataclasses.is_dataclass(item)
        return [*node, name] if scalar else list(node), item
    return [], None


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [m for m in typing.get_args(hint) if m is not types.NoneType]
        return members[0] if len(members) == 1 else hint
    return hint


def _spelled_value(hint: Any, text: str, path: str) -> Any:
    """Returns the value that an override's text spells for a field of type `hint`."""
    inner = _without_none(hint)
    if inner is str:
        return None if hint is not str and text in ("None", "none") else text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        with warnings.catch_warnings(action="ignore"):  # of a backslash in quotes
            value = ast.literal_eval(text)
    except _LITERAL_ERRORS:
        if str in typing.get_args(hint):
            return text
        raise UserError(f"{path}: expected {_spell(hint)}, got {quoted(text)}") from None
    choices = typing.get_args(hint)
    may_be_list = any(typing.get_origin(choice) is tuple for choice in choices)
    if isinstance(value, tuple) and text[:1] != "(" and str in choices:
        is_list = may_be_list and all(isinstance(item, str) for item in value)
        return value if is_list else text  # such as "1,10"
    return value


def _convert(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return value
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(hint, value, path)
    if dataclasses.is_dataclass(hint):
        return _convert_dataclass(hint, value, path)
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, Mapping), path, "a mapping", value)
        item = typing.get_args(hint)[1]
        return {str(key): _convert(item, v, f"{path}.{key}") for key, v in value.items()}
    if origin is tuple:
        _expect(isinstance(value, (list, tuple)), path, "a list", value)
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, v, f"{path}[{i}]") for i, v in enumerate(value))
    return _convert_scalar(hint, value, path)


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = _checked_number(value, path)
        if hint is float:
            return float(value)
        if hint is int and float(value).is_integer():
            return _checked_number(int(value), path)  # 400e9 is how people write a token budget
    _expect(hint not in (int, float) and isinstance(value, hint), path, _spell(hint), value)
    return value


def _checked_number(value: int | float, path: str) -> int | float:
    """Returns a number. Raises UserError if it is not finite, or a whole one of over 64 bits."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{path}: expected a finite number, got {value}")
    if isinstance(value, int) and abs(value) > _MAX_WHOLE:
        raise UserError(f"{path}: expected a number below 2**63, got {quoted(value)}")
    return value


def _convert_union(hint: Any, value: Any, path: str) -> Any:
    members = typing.get_args(hint)
    if value is None and types.NoneType in members:
        return None
    inner = [m for m in members if m is not types.NoneType]
    if len(inner) == 1:
        return _convert(inner[0], value, path)
    lists = [m for m in inner if typing.get_origin(m) is tuple]
    if lists and isinstance(value, (list, tuple)):
        return _convert(lists[0], value, path)
    scalars = tuple(m for m in inner if m not in lists)
    _expect(isinstance(value, scalars), path, _spell(hint), value)
    return _checked_number(value, path) if isinstance(value, (int, float)) else value


def _convert_dataclass(cls: Any, value: Any, path: str) -> Any:
    _expect(isinstance(value, Mapping), path, f"the fields of {cls.__name__}", value)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for name in value:
        if name not in fields:
            raise UserError(f"{path}.{name}: no such field{suggestion(str(name), list(fields))}")
    for name, field in fields.items():
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in value and not has_default:
            raise UserError(f"{path}.{name} is missing: expected {_spell(hints[name])}")
    return cls(**{n: _convert(hints[n], v, f"{path}.{n}") for n, v in value.items()})


def _expect(holds: bool, path: str, expected: str, value: Any) -> None:
    if not holds:
        found = "None" if value is None else f"{type(value).__name__} {quoted(value)}"
        raise UserError(f"{path}: expected {expected}, got {found}")


def _spell(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}
    if hint in names:
        return names[hint]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_spell(m) for m in typing.get_args(hint))
    if hint is types.NoneType:
        return "None"
    if typing.get_origin(hint) is tuple:
        return "a list"
    return getattr(hint, "__name__", str(hint))
