"""JSON lines, plain or compressed: one document per line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.named_fields import check_fields
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.data.readers.records import (
    Record,
    field_names,
    read_json_lines,
)


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
        for option in ("text_field", "group_field"):
            check_fields(files[0], {option: getattr(self, option)}, reader="jsonl")
        return files

    def read(self, shard: RawFile, source: str) -> Iterator[Document | Skipped]:
        for record in read_json_lines(shard):
            yield record if isinstance(record, Skipped) else self._document(record, source)

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
