"""Where two nested JSON values differ."""

from collections.abc import Mapping
from typing import Any


def differences(
    stored: Mapping[str, Any],
    current: Mapping[str, Any],
    path: str = "",
    *,
    names: tuple[str, str] = ("stored", "now"),
) -> list[str]:
    """Returns "field: stored …, now …" for each leaf in which two contents differ.

    Args:
      names: what the two sides are called.
    """
    found: list[str] = []
    for key in sorted({*stored, *current}):
        old, new = stored.get(key), current.get(key)
        name = f"{path}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{name}.", names=names)
        elif old != new:
            found.append(f"{name}: {names[0]} {old!r:.40}, {names[1]} {new!r:.40}")
    return found
