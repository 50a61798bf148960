"""Records of JSON lines and Parquet files: what most published corpora are made of."""

import abc
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.parquet import RowGroups, read_rows, row_groups
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile, Reader, once


@dataclass(frozen=True)
class Record:
    """One record. `name` is `<file>:<line>`; `place` is the same with the whole path."""

    value: dict[str, Any]
    name: str
    place: str

    def text(self, field: str) -> str | Skipped:
        """Returns a field that must be text, or why the record is skipped."""
        if field not in self.value:
            return Skipped(self.place, f"no field {field!r}")
        found = self.value[field]
        if not isinstance(found, str):
            return Skipped(self.place, f"field {field!r} is not text")
        return found

    def optional(self, field: str, *, joined_by: str = ", ") -> str | None:
        """Returns a field as text; None if it is missing or blank. A list's items are joined."""
        found = self.value.get(field)
        if isinstance(found, list):
            found = joined_by.join(str(item) for item in found if not _is_blank(item))
        return None if isinstance(found, dict) or _is_blank(found) else str(found)

    def first(self, fields: Sequence[str], *, joined_by: str = ", ") -> str | None:
        """Returns the first of several fields that has a value, as text."""
        for field in fields:
            if self.value.get(field) is not None:
                found = self.optional(field, joined_by=joined_by)
                if found is not None:
                    return found
        return None

    def license(self, fields: Sequence[str]) -> str | None:
        """Returns the license; of several, the SPDX expression that demands all of them."""
        return self.first(fields, joined_by=" AND ")

    def metadata(self, **fields: Sequence[str]) -> dict[str, str]:
        """Returns by name the first of its fields that has a value."""
        found = ((name, self.first(candidates)) for name, candidates in fields.items())
        return {name: value for name, value in found if value is not None}

    @property
    def folder(self) -> str:
        """The name of the folder that the file is in."""
        return self.place.rpartition("/")[0].rpartition("/")[2]


def field_names(option: str) -> list[str]:
    """Returns the names in an option that lists fields, separated by commas."""
    return [name.strip() for name in option.split(",") if name.strip()]


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


@dataclass(frozen=True, kw_only=True)
class RecordReader(Reader):
    """Reads the files that the glob `path` matches, Parquet or JSON lines by their names.

    Each record gives one document or is skipped. Each JSON lines file is a shard, and each run of
    row groups of a Parquet file.

    name, columns: the reader's name in messages, and the fields that it uses.
    """

    path: str
    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()

    @property
    def used_columns(self) -> tuple[str, ...]:
        """The columns of a Parquet file that are read."""
        return self.columns

    def list_files(self) -> Sequence[RawFile]:
        return raw_files(self.path, reader=self.name)

    def shards(self) -> Sequence[Any]:
        return record_shards(self.list_files())

    def all_files(self) -> Iterator[RawFile]:
        return once(chain.from_iterable(map(self.files, self.list_files())))

    def read(self, shard: Any, source: str) -> Iterator[Document | Skipped]:
        for record in self.records(shard):
            yield record if isinstance(record, Skipped) else self.document(record, source)

    def records(self, shard: RawFile | RowGroups) -> Iterator[Record | Skipped]:
        """Yields the records of a shard, and what was skipped in it."""
        if isinstance(shard, RawFile):
            return read_json_lines(shard)
        return read_parquet(shard, self.used_columns)

    @abc.abstractmethod
    def document(self, record: Record, source: str) -> Document | Skipped:
        """Returns the record's document, or why it is skipped."""


def record_shards(files: Iterable[RawFile]) -> list[RawFile | RowGroups]:
    """Returns the shards of files of records: Parquet if they are named so, else JSON lines."""
    shards: list[RawFile | RowGroups] = []
    for file in files:
        shards.extend(row_groups(file) if file.name.endswith(".parquet") else [file])
    return shards


def read_parquet(shard: RowGroups, columns: Sequence[str]) -> Iterator[Record | Skipped]:
    """Yields the values of every row, by column."""
    for number, row in read_rows(shard, columns):
        place = f"{shard.file.path}:{number}"
        if isinstance(row, Skipped):
            yield row
        elif row.undecodable:
            yield Skipped(place, "not UTF-8")
        else:
            yield Record(row.value, f"{shard.file.name}:{number}", place)


def read_json_lines(file: RawFile) -> Iterator[Record | Skipped]:
    """Yields the object of every line; blank lines are ignored."""
    for number, line in read_lines(file.path):
        if isinstance(line, Skipped):
            yield line
        elif line.strip():
            place = f"{file.path}:{number}"
            value = json_object(line, place)
            if isinstance(value, Skipped):
                yield value
            else:
                yield Record(value, f"{file.name}:{number}", place)


def json_object(line: bytes, place: str) -> dict[str, Any] | Skipped:
    """Returns the JSON object in a line, or why the line is skipped."""
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Skipped(place, "not UTF-8")
    except (ValueError, RecursionError):
        return Skipped(place, "not JSON")
    return value if isinstance(value, dict) else Skipped(place, "not a JSON object")
