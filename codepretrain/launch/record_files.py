"""Reads and writes the records of a job's folder.

Each file holds {"format": 1, "by": writer, "record": {…}}. An unknown or a missing field is an
error that names it; an unknown field of a later format is ignored. `by` makes the bytes of two
writers differ, which create-if-absent needs in object stores.
"""

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from etils import epath

from codepretrain.config.parse import parse, to_dict
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import create, write_text
from codepretrain.files.explain import shown
from codepretrain.files.json_values import decode, encode
from codepretrain.launch.job import Job, Request
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.records import CAUSES, Attempt, End, HostRecord, Orders

FORMAT = 1
_THREADS = 32
_NUMBERED = re.compile(r"(\d+)\.json")
_ATTEMPT = re.compile(r"(.+)-(\d+)\.json")

T = TypeVar("T")


def to_record(cls: type[T], value: Any, *, path: str, format: int = FORMAT) -> T:
    """Returns plain JSON values as a record.

    Raises:
      UserError: a field is missing, unknown (unless `format` is later than ours), or wrong.
    """
    try:
        record = parse(cls, _known(cls, value) if format > FORMAT else value, path=path)
    except UserError as error:
        if format <= FORMAT:
            raise
        raise UserError(
            f"{error}; it is of format {format}, written by a newer version of codepretrain than "
            f"this one, which reads format {FORMAT}: install that version"
        ) from error
    ends = {HostRecord: "end", End: None}.get(cls, "")
    end = record if ends is None else getattr(record, ends, None) if ends else None
    if isinstance(end, End) and end.cause not in CAUSES:
        raise UserError(f"{path}: expected a cause of {', '.join(CAUSES)}, got {end.cause!r}")
    return record


def write_host(folder: JobFolder, record: HostRecord) -> None:
    """Replaces the record of a host."""
    _write(folder.hosts / f"{record.host}.json", record, by=record.boot)


def write_orders(folder: JobFolder, orders: Orders, *, by: str) -> None:
    """Replaces the orders."""
    _write(folder.orders, orders, by=by)


def create_attempt(folder: JobFolder, attempt: Attempt, *, by: str) -> bool:
    """Writes an attempt unless its number is in use, and returns whether this call wrote it."""
    return _create(_attempt_path(folder, attempt.id), attempt, by=by)


def create_job(folder: JobFolder, job: Job, *, by: str) -> bool:
    """Writes job.json unless there is one, and returns whether this call wrote it."""
    return _create(folder.job, job, by=by)


def create_request(folder: JobFolder, request: Request, *, by: str) -> Request:
    """Writes a request under the next free number, which it returns with it."""
    while True:
        numbers = _numbers(folder.requests)
        request = dataclasses.replace(request, number=max(numbers, default=0) + 1)
        if _create(folder.requests / f"{request.number}.json", request, by=by):
            return request


def read_job_record(folder: JobFolder) -> Job:
    """Returns what a job runs. Raises UserError if job.json is missing or damaged."""
    return _read(folder.job, Job)


def read_attempt(folder: JobFolder, attempt: str) -> Attempt:
    """Returns an attempt. Raises MissingFileError if there is none."""
    return _read(_attempt_path(folder, attempt), Attempt)


def read_orders(folder: JobFolder) -> Orders | None:
    """Returns the orders, None if none were written yet."""
    try:
        return _read(folder.orders, Orders)
    except storage.MissingFileError:
        return None


def read_hosts(
    folder: JobFolder,
    hosts: Iterable[int] | None = None,
    *,
    on_error: Callable[[int, UserError], None] | None = None,
) -> dict[int, HostRecord]:
    """Returns the records of these hosts, or of all, that have one.

    Args:
      on_error: called for a record that cannot be read, which is left out; by default it is raised.
    """
    numbers = _numbers(folder.hosts) if hosts is None else list(hosts)

    def read(host: int) -> HostRecord | None:
        try:
            return read_host(folder, host)
        except storage.MissingFileError:
            return None
        except UserError as error:
            if on_error is None:
                raise
            on_error(host, error)
            return None

    found = _each(read, numbers, folder.hosts)
    return {record.host: record for record in found if record is not None}


def read_host(folder: JobFolder, host: int) -> HostRecord:
    """Returns the record of a host. Raises MissingFileError if there is none."""
    path = folder.hosts / f"{host}.json"
    record = _read(path, HostRecord)
    if record.host != host:
        raise UserError(
            f"{shown(path)}: expected the record of host {host}, found that of host {record.host}"
        )
    return record


def read_requests(folder: JobFolder, *, after: int = 0) -> tuple[Request, ...]:
    """Returns the requests with a higher number than `after`, in order."""
    numbers = [number for number in _numbers(folder.requests) if number > after]
    return tuple(_read(folder.requests / f"{number}.json", Request) for number in numbers)


def used_numbers(folder: JobFolder) -> dict[str, int]:
    """Returns the highest attempt number of each stage that has a file."""
    used: dict[str, int] = {}
    for name in storage.names(folder.attempts):
        match = _ATTEMPT.fullmatch(name)
        if match:
            used[match[1]] = max(used.get(match[1], 0), int(match[2]))
    return used


def _attempt_path(folder: JobFolder, attempt: str) -> epath.Path:
    return folder.attempts / f"{attempt}.json"


def _numbers(folder: epath.Path) -> list[int]:
    matches = (_NUMBERED.fullmatch(name) for name in storage.names(folder))
    return sorted(int(match[1]) for match in matches if match)


def _each(read: Callable[[int], T], numbers: list[int], folder: epath.Path) -> list[T]:
    """Reads several files, in an object store at the same time."""
    if storage.is_local(folder) or len(numbers) < 2:
        return [read(number) for number in numbers]
    with ThreadPoolExecutor(min(_THREADS, len(numbers))) as pool:
        return list(pool.map(read, numbers))


def _text(record: Any, by: str) -> str:
    return encode({"format": FORMAT, "by": by, "record": to_dict(record)}) + "\n"


def _write(path: epath.Path, record: Any, *, by: str) -> None:
    write_text(path, _text(record, by))


def _create(path: epath.Path, record: Any, *, by: str) -> bool:
    return create(path, _text(record, by).encode("utf-8"))


def _read(path: epath.Path, cls: type[T]) -> T:
    text = storage.read_text(path)
    try:
        value = decode(text)
        if not isinstance(value.get("format"), int) or not isinstance(value.get("record"), dict):
            raise ValueError("expected the fields format and record")
    except ValueError as error:
        raise UserError(f"{shown(path)} is damaged ({error}): delete it") from error
    return to_record(cls, value["record"], path=path.name, format=value["format"])


def _known(hint: Any, value: Any) -> Any:
    """Returns a value without the fields that its type lacks, at any depth."""
    arguments = typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        hints = typing.get_type_hints(hint)
        return {name: _known(hints[name], item) for name, item in value.items() if name in hints}
    if isinstance(value, list) and arguments:
        return [_known(arguments[0], item) for item in value]
    for inner in arguments if isinstance(value, Mapping) else ():
        if dataclasses.is_dataclass(inner):
            return _known(inner, value)
    return value
