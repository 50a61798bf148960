"""Differences between the settings that data was made under and those of a study, for messages."""

from collections.abc import Mapping
from typing import Any


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns (name, old value, new value) of each setting that differs, by name.

    Nested names are joined by dots. A setting that is missing on one side has the value None there.
    """
    before, now = _flat(old), _flat(new)
    return [
        (name, before.get(name), now.get(name))
        for name in sorted(before | now)
        if before.get(name) != now.get(name)
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
