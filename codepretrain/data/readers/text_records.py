"""Text in Parquet or JSON lines, with fields named by options: mathematics, web pages, prose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import page_group, repository_group
from codepretrain.data.readers.named_fields import check_fields
from codepretrain.data.readers.records import Record, RecordReader, field_names, record_shards


@dataclass(frozen=True, kw_only=True)
class TextRecords(RecordReader):
    """Files matching the glob `path`; the other options name fields, `metadata_fields` several.

    The group is the page of `page_field` (an address: two sources that contain one page give it one
    group), the repository of `repository_field`, or the value of `group_field`.
    """

    text_field: str = "text"
    language_field: str | None = None
    license_field: str | None = None
    page_field: str | None = None
    repository_field: str | None = None
    group_field: str | None = None
    metadata_fields: str = ""
    name: ClassVar[str] = "records"

    @property
    def used_columns(self) -> tuple[str, ...]:
        optional = (
            *(self.language_field, self.license_field, self.page_field),
            *(self.repository_field, self.group_field, *field_names(self.metadata_fields)),
        )
        return (self.text_field, *(field for field in optional if field))

    def shards(self) -> Sequence[Any]:
        files = self.list_files()
        options = ("page_field", "repository_field", "group_field")
        named = {option: getattr(self, option) for option in options}
        check_fields(files[0], named, reader=self.name)
        check_fields(files[0], {"text_field": self.text_field}, reader=self.name)
        return record_shards(files)

    def document(self, record: Record, source: str) -> Document | Skipped:
        text = record.text(self.text_field)
        if isinstance(text, Skipped):
            return text
        return Document(
            id=record.name,
            text=text,
            source=source,
            origin=record.name,
            group=self._group(record),
            language=record.first(_named(self.language_field)),
            license=record.license(_named(self.license_field)),
            metadata=record.metadata(
                **{name: (name,) for name in field_names(self.metadata_fields)}
            ),
        )

    def _group(self, record: Record) -> str | None:
        if page := record.first(_named(self.page_field)):
            return page_group(page)
        if repository := record.first(_named(self.repository_field)):
            return repository_group(repository)
        return record.first(_named(self.group_field))


def _named(field: str | None) -> tuple[str, ...]:
    return (field,) if field else ()
