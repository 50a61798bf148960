"""Reads single fields of a JSON request; a wrong value is an `ApiError` that names the field."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from codepretrain.config.parse import suggestion
from codepretrain.errors import quoted
from codepretrain.serve.api_error import ApiError, wrong


def parse_object(body: bytes) -> dict[str, Any]:
    """Returns the JSON object in the body of a request.

    Raises:
      ApiError: it is not one.
    """
    try:
        value = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError(400, f"the body is not JSON in UTF-8: {reason}") from error
    if not isinstance(value, dict):
        raise ApiError(400, f"the body: expected a JSON object, found {shown(value)}")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def check_names(values: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises ApiError for a field that is not known."""
    for name in values:
        if name not in known:
            field = name[:80].encode(errors="backslashreplace").decode()  # it may be no Unicode
            raise ApiError(
                400, f"unknown field {quoted(name)}{suggestion(name, known)}", field=field
            )


def whole(values: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """Returns a whole number from `low` to `high`; null or absent: `default`."""
    value = values.get(name)
    if value is None:
        return default
    if type(value) is not int or not low <= value <= high:
        raise wrong(name, f"a whole number from {low:,} to {high:,}", shown(value))
    return value


def number(values: Mapping[str, Any], name: str, default: float, expected: str) -> float:
    """Returns a finite number; null or absent: `default`.

    Args:
      expected: what the number must be, for the message; the caller checks its range.
    """
    value = values.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or not math.isfinite(_float(value)):
        raise wrong(name, expected, shown(value))
    return float(value)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def flag(values: Mapping[str, Any], name: str) -> bool:
    """Returns true or false; null or absent: false."""
    value = values.get(name)
    if value is not None and type(value) is not bool:
        raise wrong(name, "true or false", shown(value))
    return bool(value)


def text(value: Any, name: str) -> str:
    """Returns a string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise wrong(name, "a string", shown(value))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise wrong(name, "Unicode text", "a lone surrogate") from error
    return value


def shown(value: Any) -> str:
    """Returns a JSON value for a message, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    return quoted(value)
