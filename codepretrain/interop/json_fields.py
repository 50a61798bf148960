"""Typed fields of a JSON file that another program wrote, with errors that name file and field."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from codepretrain.errors import UserError, quoted
from codepretrain.files import storage
from codepretrain.files.explain import shown
from codepretrain.files.storage import StrPath

_ABSENT = object()
_LARGEST = 2**63 - 1


class JsonFields:
    """An object in a JSON file: each method returns one field, checked.

    A field that is missing takes `default`; without one it is an error.

    Args:
      path: the file, for messages.
      values: the object itself.
      within: where in the file the object is, as in `model.`.
    """

    def __init__(self, path: StrPath, values: Mapping[str, Any], *, within: str = "") -> None:
        self.path = path
        self.values = values
        self._within = within

    @classmethod
    def read(cls, path: StrPath) -> "JsonFields":
        """Raises UserError: the file is missing, or holds anything but one JSON object."""
        try:
            return cls(path, storage.read_json(path, remedy="download or export the model again"))
        except storage.MissingFileError:
            folder, _, name = str(path).rpartition("/")
            raise UserError(f"{shown(folder)} holds no {name}") from None

    def whole(self, name: str, *, minimum: int = 1, default: Any = _ABSENT) -> int:
        value = self._value(name, default)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not minimum <= value <= _LARGEST:
            self.fail(name, f"a whole number, at least {minimum}", value)
        return value

    def number(self, name: str, *, default: Any = _ABSENT) -> float:
        """Returns a finite, positive number."""
        value = self._value(name, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value <= _LARGEST or not math.isfinite(value):
            self.fail(name, "a positive number", value)
        return float(value)

    def flag(self, name: str, *, default: Any = _ABSENT) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            self.fail(name, "true or false", value)
        return value

    def text(self, name: str, *, default: Any = _ABSENT) -> str:
        value = self._value(name, default)
        if not isinstance(value, str):
            self.fail(name, "text", value)
        return value

    def items(self, name: str, *, default: Any = _ABSENT) -> list[Any]:
        value = self._value(name, default)
        if not isinstance(value, list):
            self.fail(name, "a list", value)
        return value

    def object(self, name: str, *, default: Any = _ABSENT) -> "JsonFields":
        value = self._value(name, default)
        if not isinstance(value, dict):
            self.fail(name, "an object", value)
        return JsonFields(self.path, value, within=f"{self._within}{name}.")

    def objects(self, name: str, *, default: Any = _ABSENT) -> list["JsonFields"]:
        """Returns the objects of a list."""
        listed = self.items(name, default=default)
        for index, value in enumerate(listed):
            if not isinstance(value, dict):
                self.fail(f"{name}[{index}]", "an object", value)
        where = f"{self._within}{name}"
        return [JsonFields(self.path, v, within=f"{where}[{i}].") for i, v in enumerate(listed)]

    def is_set(self, name: str) -> bool:
        """Returns whether the field is present and not null."""
        return self.values.get(name) is not None

    def fail(self, name: str, expected: str, value: Any) -> NoReturn:
        """Raises UserError for a field."""
        if value is _ABSENT:
            raise UserError(
                f"{shown(self.path)}: {self._within}{name} is missing: expected {expected}"
            )
        found = quoted(value) if isinstance(value, float) else _spelled(value)
        raise UserError(
            f"{shown(self.path)}: {self._within}{name}: expected {expected}, found {found}"
        )

    def _value(self, name: str, default: Any) -> Any:
        return self.values.get(name, default)


def _spelled(value: Any) -> str:
    """Returns a value as it is in the file, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return quoted(value)
    return text if len(text) <= 80 else f"{text[:60]}…"
