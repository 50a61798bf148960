"""Jupyter notebooks as documents: `codepretrain.data.rendering.render_notebook`."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import file_group, repository_group
from codepretrain.data.readers.languages import language_of
from codepretrain.data.readers.notebook_cells import (
    NotNotebookError,
    cells_of_json,
    cells_of_parsed,
)
from codepretrain.data.readers.raw_files import file_name, read_text_file
from codepretrain.data.readers.reader import RawFile, chunks
from codepretrain.data.readers.records import Record, RecordReader, record_shards
from codepretrain.data.readers.the_stack import LICENSE, PATH, REPOSITORY, STARS
from codepretrain.data.rendering import HAS_MARKER, Cell, has_marker, render_notebook


@dataclass(frozen=True, kw_only=True)
class Notebooks(RecordReader):
    """Notebooks in the files that the glob `path` matches, in any of three forms.

    `.ipynb` files; records (Parquet or JSON lines) with a notebook's JSON in `content`, as in The
    Stack; records with `cells` and `cell_types`, its parsed form. The group of a record is its
    repository, that of an `.ipynb` file the file, named as by the reader `folder`. Images and HTML
    are left out; without `includes_outputs`, all output is.
    """

    includes_outputs: bool = True
    name: ClassVar[str] = "notebooks"
    columns: ClassVar[tuple[str, ...]] = (
        *("content", "cells", "cell_types", *REPOSITORY),
        *PATH,
        *LICENSE,
        *STARS,
    )

    def list_files(self) -> Sequence[RawFile]:
        return sorted(super().list_files(), key=_is_record_file)  # notebooks first

    def shards(self) -> Sequence[Any]:
        files = self.list_files()
        notebooks = [file for file in files if not _is_record_file(file)]
        records = [file for file in files if _is_record_file(file)]
        return [*chunks(notebooks), *record_shards(records)]

    def read(self, shard: Any, source: str) -> Iterator[Document | Skipped]:
        if not isinstance(shard, list):
            yield from super().read(shard, source)
            return
        for file in shard:
            yield self._file(file, source)

    def _file(self, file: RawFile, source: str) -> Document | Skipped:
        content = read_text_file(file, file.path)
        if isinstance(content, Skipped):
            return content
        rendered = rendered_notebook(content, file.path, with_outputs=self.includes_outputs)
        if isinstance(rendered, Skipped):
            return rendered
        text, language = rendered
        folder = posixpath.basename(file_name(file.path).removesuffix(f"/{file.name}"))
        return Document(
            id=file.name,
            text=text,
            source=source,
            origin=file.name,
            group=file_group(folder, file.name),
            language=language,
            metadata={"format": "notebook"},
        )

    def document(self, record: Record, source: str) -> Document | Skipped:
        rendered = self._rendered(record)
        if isinstance(rendered, Skipped):
            return rendered
        text, language = rendered
        repository = record.first(REPOSITORY)
        metadata = record.metadata(repository=REPOSITORY, path=PATH, stars=STARS)
        return Document(
            id=record.name,
            text=text,
            source=source,
            origin=record.name,
            group=repository_group(repository) if repository else None,
            language=language,
            license=record.license(LICENSE),
            metadata={"format": "notebook", **metadata},
        )

    def _rendered(self, record: Record) -> tuple[str, str | None] | Skipped:
        if "cells" not in record.value:
            content = record.text("content")
            if isinstance(content, Skipped):
                return content
            return rendered_notebook(content, record.place, with_outputs=self.includes_outputs)
        try:
            groups, types = record.value["cells"], record.value.get("cell_types")
            cells = cells_of_parsed(groups, types, with_outputs=self.includes_outputs)
        except NotNotebookError as error:
            return Skipped(record.place, str(error))
        return _rendered_cells(cells, None, record.place)


def _is_record_file(file: RawFile) -> bool:
    return not file.name.endswith(".ipynb")


def rendered_notebook(
    content: str, place: str, *, with_outputs: bool
) -> tuple[str, str | None] | Skipped:
    """Returns the text of a notebook's JSON and its kernel's language, or why it is skipped."""
    try:
        cells, language = cells_of_json(content, with_outputs=with_outputs)
    except NotNotebookError as error:
        return Skipped(place, str(error))
    return _rendered_cells(cells, language, place)


def _rendered_cells(
    cells: Sequence[Cell], language: str | None, place: str
) -> tuple[str, str | None] | Skipped:
    if not cells:
        return Skipped(place, "notebook without cells")
    if has_marker(text for cell in cells for text in (cell.source, cell.output)):
        return Skipped(place, HAS_MARKER)
    return render_notebook(cells), language_of(language) if language else None
