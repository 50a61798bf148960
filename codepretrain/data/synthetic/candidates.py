"""Files of candidate solutions: JSON lines, also the journal that `teacher.py` writes.

    {"problem": {"statement": "...", "name": "add", "tests": [[{"code": "add(1, 2)",
     "check": "result == 3"}]]}, "solution": "def add(a, b): ...", "teacher": "some-model",
     "license": "Apache-2.0"}

`problem` has the fields of `problem.Problem`. Other fields of a line are ignored. A file is read in
ranges of bytes; a line belongs to the range in which it begins.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from codepretrain.data.document import Skipped
from codepretrain.data.synthetic.problem import Problem, from_json
from codepretrain.errors import UserError
from codepretrain.files.json_values import decode
from codepretrain.files.storage import read_range, size

_RANGE_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 24


class Range(NamedTuple):
    """Bytes `start` to `stop` of a file of `size` bytes; `name` is that of its `RawFile`."""

    path: str
    name: str
    start: int
    stop: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate solution, and where it comes from."""

    problem: Problem
    solution: str
    teacher: str
    license: str | None
    origin: str


def ranges(path: str, name: str) -> list[Range]:
    """Returns the ranges of a file, none if it is empty.

    Raises:
      UserError: the file is missing or unreadable.
    """
    total = size(path)
    starts = range(0, total, _RANGE_BYTES)
    return [Range(path, name, s, min(s + _RANGE_BYTES, total), total) for s in starts]


def read_candidates(part: Range) -> Iterator[Candidate | Skipped]:
    """Yields the candidates of a range, and the lines that are not candidates."""
    for position, line in _lines(part):
        if line.strip():
            yield _candidate(line, f"{part.path} byte {position}")


def _lines(part: Range) -> Iterator[tuple[int, bytes]]:
    """Yields each line that begins in the range, with its position in the file."""
    position = max(part.start - 1, 0)  # the newline before the range, if there is one
    content = read_range(part.path, position, part.stop)
    if part.start:
        end = content.find(b"\n")
        if end < 0:
            return
        position, content = position + end + 1, content[end + 1 :]
        if not content:
            return
    stop = part.stop
    while not content.endswith(b"\n") and stop < part.size:
        more = read_range(part.path, stop, min(stop + _RANGE_BYTES, part.size))
        end = more.find(b"\n") + 1
        content += more[:end] if end else more
        stop += len(more)
        if end or len(content) > part.stop - part.start + _MAX_LINE_BYTES:
            break
    for line in content.split(b"\n"):
        yield position, line
        position += len(line) + 1


def _candidate(line: bytes, origin: str) -> Candidate | Skipped:
    if len(line) > _MAX_LINE_BYTES:
        return Skipped(origin, "line longer than 16 MiB")
    try:
        value = decode(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Skipped(origin, "not UTF-8")
    except ValueError as error:
        return Skipped(f"{origin}: {error}", "not a JSON object")
    if b"\\ud" in line.lower() and not _is_unicode(value):
        return Skipped(origin, "half of a surrogate pair")
    solution, teacher = value.get("solution"), value.get("teacher")
    if solution is None and isinstance(value.get("error"), str):
        return Skipped(origin, "an answer without a solution")
    if not isinstance(solution, str) or not isinstance(teacher, str):
        return Skipped(origin, "no text in `solution` or `teacher`")
    license = value.get("license")
    if license is not None and not isinstance(license, str):
        return Skipped(origin, "`license` is not text")
    try:
        problem = from_json(value.get("problem"))
    except UserError as error:
        return Skipped(f"{origin}: {error}", "not a problem")
    return Candidate(
        problem=problem, solution=solution, teacher=teacher, license=license, origin=origin
    )


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
