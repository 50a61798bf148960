"""Records of JSON lines and Parquet files: what most published corpora are made of."""

import abc
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.raw_files import RawFile, raw_files
from codepretrain.data.readers.reader import Reader


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

    def optional(self, field: str) -> str | None:
        """Returns a field as text if it has a value; a list's items are joined by `, `."""
        found = self.value.get(field)
        if isinstance(found, list):
            return ", ".join(map(str, found)) or None
        return None if found is None or isinstance(found, dict) else str(found) or None


@dataclass(frozen=True, kw_only=True)
class RecordReader(Reader):
    """Reads the files that the glob `path` matches; a record gives one document or is skipped."""

    path: str
    name: ClassVar[str]

    def shards(self) -> Sequence[RawFile]:
        return raw_files(self.path, reader=self.name)

    def read(self, shard: RawFile, source: str) -> Iterator[Document | Skipped]:
        for record in read_json_lines(shard):
            if isinstance(record, Skipped):
                yield record
            else:
                yield self.document(record, source)

    @abc.abstractmethod
    def document(self, record: Record, source: str) -> Document | Skipped:
        """Returns the record's document, or why it is skipped."""


def read_json_lines(file: RawFile) -> Iterator[Record | Skipped]:
    """Yields the object of every line; blank lines are no records."""
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
