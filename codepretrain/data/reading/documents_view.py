"""Which documents of the shared pool a study uses: `<data_dir>/documents.json`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from etils import epath

from codepretrain.config.parse import parse
from codepretrain.errors import UserError
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import StrPath, is_file

_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class DocumentsEntry:
    """The documents of one source.

    folder: name of the folder in the pool. manifest: name of the manifest in it. sha256: of the
    manifest's contents, which its seal repeats.
    """

    folder: str
    manifest: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _View:
    format_version: int
    sources: Mapping[str, DocumentsEntry]


def documents_view_path(data_dir: StrPath) -> epath.Path:
    """Returns where a study names its documents."""
    return epath.Path(data_dir) / "documents.json"


def load_documents_view(data_dir: StrPath) -> dict[str, DocumentsEntry]:
    """Returns the study's documents by source: none before the first is read.

    Raises:
      UserError: the file is damaged.
    """
    path = documents_view_path(data_dir)
    if not is_file(path):
        return {}
    remedy = f"delete {path} and run `codepretrain prepare` again"
    value, _ = read_sealed(path, remedy=remedy)
    if value.get("format_version") != _FORMAT_VERSION:
        raise UserError(
            f"{path} has format {value.get('format_version')!r}, this version reads "
            f"{_FORMAT_VERSION}; {remedy}"
        )
    try:
        return dict(parse(_View, value, path=str(path)).sources)
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from error


def set_documents_entry(data_dir: StrPath, source: str, entry: DocumentsEntry) -> None:
    """Names the documents of a source, in place of those it had."""
    entries = load_documents_view(data_dir)
    if entries.get(source) != entry:
        entries[source] = entry
        sources = {name: dataclasses.asdict(entries[name]) for name in sorted(entries)}
        write_sealed(
            documents_view_path(data_dir),
            {"format_version": _FORMAT_VERSION, "sources": sources},
        )
