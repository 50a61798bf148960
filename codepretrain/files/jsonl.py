"""JSON lines that survive a kill and give back the very floats that were written.

One object a line. A float is written as its shortest repr, so reading gives the same bits; numbers
that JSON lacks are the strings "NaN", "Infinity" and "-Infinity", and come back as floats. A line
is handed to the operating system in one write: a killed process leaves whole lines, and at worst
(power loss, full disk) a torn last one, which opening the file repairs.
"""

import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from codepretrain.errors import UserError

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(record: Mapping[str, Any]) -> str:
    """Returns `record` as one line of JSON without its newline.

    NumPy and JAX scalars count as the Python number they hold; a float32 is kept exactly.
    """
    return json.dumps(plain(record), allow_nan=False, ensure_ascii=False)


def decode(line: str) -> dict[str, Any]:
    """Returns what `encode` was given. Raises ValueError on anything but one whole object."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError(f"expected one JSON object, got {line[:60]!r}")
    return _restore(record)


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


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _restore(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restore(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the objects in `path`, none if it does not exist; leaves the file as it is.

    Raises:
      UserError: a line other than a torn last one is damaged.
    """
    return [record for _, record in _read_lines(path)]


def _read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    is_torn = lines[-1] != b""  # whole files end with a newline
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            text = line.decode("utf-8")
            pairs.append((text, decode(text)))
        except ValueError as error:
            if is_torn and number == len(lines):
                break
            raise UserError(
                f"{path} line {number} is damaged ({error}): remove that line, or move the file "
                "away to start it anew"
            ) from error
    return pairs


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` by `text`: a reader, or a crash, meets the old file or the new one whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class JsonLines:
    """A file of JSON lines that grows.

    Opening it keeps the lines for which `keeps` is true, byte for byte, and repairs a torn end.
    """

    def __init__(self, path: Path, *, keeps: Callable[[dict[str, Any]], bool]) -> None:
        pairs = [(text, record) for text, record in _read_lines(path) if keeps(record)]
        whole = "".join(text + "\n" for text, _ in pairs)
        if not path.exists() or path.read_bytes() != whole.encode("utf-8"):
            write_atomically(path, whole)
        self.kept = [record for _, record in pairs]
        self._file = path.open("ab", buffering=0)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one line. Raises OSError when it could not be written whole."""
        line = (encode(record) + "\n").encode("utf-8")
        try:
            num_written = self._file.write(line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error
        if num_written != len(line):
            raise OSError(
                errno.ENOSPC, f"wrote {num_written} of {len(line)} bytes", self._file.name
            )

    def sync(self) -> None:
        """Returns when all lines are on the disk, safe from power loss too."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
