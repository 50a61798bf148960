"""JSON lines, plain or compressed: one document per line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.data.readers.records import (
    Record,
    field_names,
    json_object,
    read_json_lines,
)
from codepretrain.errors import UserError

_LINES_LOOKED_AT = 100


@dataclass(frozen=True, kw_only=True)
class JsonLines(Reader):
    """Files matching the glob `path` (`*.jsonl`, `.jsonl.gz`, `.jsonl.zst`); each is a shard.

    The other options name the fields of a line, `metadata_fields` several. The values of `id_field`
    must be unique in the source. Without it a document's id is `<file>:<line number>`, where the
    file is relative to the folder in which the glob's wildcards begin. Lines without the text field
    are skipped and counted. `**` matches folders at any depth; links to folders are not followed
    there.
    """

    path: str
    text_field: str = "text"
    id_field: str | None = None
    language_field: str | None = None
    license_field: str | None = None
    group_field: str | None = None
    metadata_fields: str = ""

    def list_files(self) -> Sequence[RawFile]:
        return raw_files(self.path, reader="jsonl")

    def shards(self) -> Sequence[RawFile]:
        files = self.list_files()
        self._check_text_field(files[0].path)
        return files

    def read(self, shard: RawFile, source: str) -> Iterator[Document | Skipped]:
        for record in read_json_lines(shard):
            yield record if isinstance(record, Skipped) else self._document(record, source)

    def _check_text_field(self, path: str) -> None:
        """Raises UserError if none of the first lines has the text field: it is misspelled."""
        first: tuple[str, list[str]] | None = None
        for number, line in islice(read_lines(path), _LINES_LOOKED_AT):
            value = line if isinstance(line, Skipped) else json_object(line, path)
            if isinstance(value, Skipped):
                continue
            if self.text_field in value:
                return
            first = first or (f"{path} line {number}", sorted(value))
        if first is not None:
            place, fields = first
            raise UserError(
                f"reader 'jsonl': {place} has no field {self.text_field!r}, nor has any other of "
                f"the first {_LINES_LOOKED_AT} lines; its fields are: {', '.join(fields)[:200]}; "
                "set the option text_field"
            )

    def _document(self, record: Record, source: str) -> Document | Skipped:
        text = record.text(self.text_field)
        if isinstance(text, Skipped):
            return text
        return Document(
            id=record.optional(self.id_field or "") or record.name,
            text=text,
            source=source,
            origin=record.name,
            group=record.optional(self.group_field or ""),
            language=record.optional(self.language_field or ""),
            license=record.license([self.license_field or ""]),
            metadata=record.metadata(
                **{name: (name,) for name in field_names(self.metadata_fields)}
            ),
        )
