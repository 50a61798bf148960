"""Nested dicts to the dataclasses of `config/schema.py` and back, with errors that name the field.

A value that does not fit is reported by its full path, what was expected, what was found and the
nearest valid name: `config.model.num_layer: no such field; did you mean num_layers?`
"""

import ast
import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from codepretrain.errors import UserError

T = TypeVar("T")
_SCALARS = (str, int, float, bool, types.NoneType)


def parse(cls: type[T], value: Any, *, path: str = "config") -> T:
    """Returns `value` (nested dicts, lists and scalars) as an instance of dataclass `cls`.

    Raises:
      UserError: an unknown or a missing field, or a value of the wrong type.
    """
    return _convert(cls, value, path)


def to_dict(value: Any) -> Any:
    """Returns dataclasses and mappings as plain dicts, tuples as lists; the inverse of `parse`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value


def apply_override(cls: type, values: dict[str, Any], path: Sequence[str], text: str) -> None:
    """Sets, in place, the leaf at `path` of nested dict `values` (a `cls`) to what `text` spells.

    Numbers, booleans, None, lists and dicts are read as Python literals; a field of type str takes
    the text as it stands.

    Raises:
      UserError: the path does not lead to a field.
    """
    spelled = "config." + ".".join(path)
    node: Any = values
    hint: Any = cls
    for depth, name in enumerate(path):
        where = ".".join(["config", *path[:depth]])
        valid, hint = _child(hint, node, name)
        if name not in node and name not in valid:
            raise UserError(f"{where}.{name}: no such field{suggestion(name, valid)}")
        if depth < len(path) - 1:
            node = node.get(name) if isinstance(node, dict) else None
            if not isinstance(node, dict):
                raise UserError(f"{where}.{name} is a value, it has no field {path[depth + 1]!r}")
    node[path[-1]] = text if hint is str else _literal(hint, text, spelled)


def suggestion(name: str, valid: Sequence[str]) -> str:
    """Returns "; did you mean X?" for the nearest of `valid`, else the list of what is valid."""
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; expected one of: {', '.join(valid)}" if valid else ""


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


def _literal(hint: Any, text: str, path: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if _accepts_text(hint):
            return text
        raise UserError(f"{path}: expected {_spell(hint)}, got {text!r}") from None


def _accepts_text(hint: Any) -> bool:
    return hint is str or str in typing.get_args(hint)


def _convert(hint: Any, value: Any, path: str) -> Any:
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
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int and is_number and float(value).is_integer():
        return int(value)  # 400e9 is how people write a token budget
    if hint is float and is_number:
        return float(value)
    _expect(hint not in (int, float) and isinstance(value, hint), path, _spell(hint), value)
    return value


def _convert_union(hint: Any, value: Any, path: str) -> Any:
    members = typing.get_args(hint)
    if value is None and types.NoneType in members:
        return None
    inner = [m for m in members if m is not types.NoneType]
    if len(inner) == 1:
        return _convert(inner[0], value, path)
    _expect(isinstance(value, tuple(inner)), path, _spell(hint), value)
    return value


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
        raise UserError(f"{path}: expected {expected}, got {type(value).__name__} {value!r:.80}")


def _spell(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}
    if hint in names:
        return names[hint]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_spell(m) for m in typing.get_args(hint))
    if hint is types.NoneType:
        return "None"
    return getattr(hint, "__name__", str(hint))
