"""JSON that round-trips numbers exactly.

A float is written as its shortest repr, so reading gives the same bits. Numbers that JSON lacks are
written as the strings "NaN", "Infinity" and "-Infinity" and read back as floats.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(record: Mapping[str, Any]) -> str:
    """Returns `record` as one line of JSON without its newline.

    NumPy and JAX scalars count as the Python number they hold; a float32 is kept exactly.
    """
    return json.dumps(plain(record), allow_nan=False, ensure_ascii=False)


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
    """Returns `value` as JSON's own types: numbers that are not finite become strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if not isinstance(value, float) and hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    raise TypeError(f"cannot write {type(value).__name__} {value!r} as JSON")


def restore(value: Any) -> Any:
    """Returns parsed JSON with the three strings replaced by their floats."""
    if isinstance(value, dict):
        return {key: restore(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restore(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
