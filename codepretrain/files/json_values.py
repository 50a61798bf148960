"""JSON that round-trips numbers exactly.

A float is written as its shortest repr, so reading gives the same bits. Numbers that JSON lacks are
written as the strings "NaN", "Infinity" and "-Infinity" and read back as floats. A text that is one
of these is written by `encode` with "text:" in front: a model may write just that.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TEXT = "text:"


def encode(record: Mapping[str, Any]) -> str:
    """Returns `record` as one line of JSON without its newline.

    NumPy and JAX scalars count as the Python number they hold; a float32 is kept exactly.
    """
    return json.dumps(_plain(record, _marked), allow_nan=False, ensure_ascii=False)


def decode(line: str) -> dict[str, Any]:
    """Returns what `encode` was given. Raises ValueError for anything but one whole object."""
    try:
        record = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError(f"expected one JSON object, got {line[:60]!r}")
    return restore(record)


def plain(value: Any) -> Any:
    """Returns `value` as JSON's own types: numbers that are not finite become strings.

    A dataclass becomes an object of its fields.
    """
    return _plain(value, lambda text: text)


def _plain(value: Any, as_text: Callable[[str], str]) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain(fields, as_text)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, as_text) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, as_text) for item in value]
    if isinstance(value, str):
        return as_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if not isinstance(value, float) and hasattr(value, "item"):
        return _plain(value.item(), as_text)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    raise TypeError(f"cannot write {type(value).__name__} {value!r} as JSON")


def _marked(text: str) -> str:
    """Returns a text such that `restore` gives it back as a text."""
    return _TEXT + text if _is_number(text) else text


def _is_number(text: str) -> bool:
    """Returns whether the text is one of the three strings, after any number of marks."""
    while text.startswith(_TEXT):
        text = text[len(_TEXT) :]
    return text in _NOT_FINITE


def restore(value: Any) -> Any:
    """Returns parsed JSON with the three strings replaced by their floats, and without marks."""
    if isinstance(value, dict):
        return {key: restore(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restore(item) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith(_TEXT) and _is_number(value):
        return value[len(_TEXT) :]
    return _NOT_FINITE.get(value, value)
