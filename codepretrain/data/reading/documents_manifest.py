"""The manifest of a source's documents, and the list of the raw files that they were read from.

<pool folder>/<12 digits>.json         the manifest, sealed and named by its hash
<pool folder>/<12 digits>.files.json   the raw files, named alike
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.reading.document_parts import DocumentsPart
from codepretrain.data.reading.inventory import Inventory
from codepretrain.errors import UserError
from codepretrain.files.sealed import read_sealed, seal, write_sealed
from codepretrain.files.storage import StrPath, is_file
from codepretrain.rows.verify import folder_remedy, parse_manifest

FORMAT_VERSION = 3
_HEX = 12  # digits of the hash in a name


@dataclass(frozen=True, kw_only=True)
class DocumentsManifest:
    """The result of reading one source: exact counts over its parts, in order.

    num_documents, num_bytes: what the filters kept. limit: the reader's option `max_bytes`. The
    documents after those that reach it, all in the last part, are counted here and left out by the
    selection. was_capped: the limit was reached, so there may be more raw material. skipped:
    reason → count. skipped_examples: reason → origin of the first. drop_report:
    `filters.drop_report.DropReport` as JSON values. num_files: raw files that were read.
    files_sha256: of the list of them.
    """

    format_version: int
    source: str
    settings_hash: str
    parts: tuple[DocumentsPart, ...]
    num_documents: int
    num_bytes: int
    limit: int | None
    was_capped: bool
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, str]
    drop_report: Mapping[str, Any]
    num_files: int
    files_sha256: str

    @property
    def num_read(self) -> int:
        """Documents, whatever became of them, and skipped pieces of raw material."""
        dropped = DropReport.from_json(self.drop_report).dropped.values()
        num_dropped = sum(tally.documents for tally in dropped)
        return self.num_documents + num_dropped + sum(self.skipped.values())

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def load_documents_manifest(path: StrPath) -> tuple[DocumentsManifest, str]:
    """Returns a manifest and its hash.

    Raises:
      UserError: it is missing or damaged, or has another format.
    """
    remedy = folder_remedy(path)
    value, sha256 = read_sealed(path, remedy=remedy)
    manifest = parse_manifest(
        DocumentsManifest, value, version=FORMAT_VERSION, path=path, remedy=remedy
    )
    return manifest, sha256


def load_raw_files(folder: StrPath, manifest: DocumentsManifest) -> Inventory:
    """Returns the raw files that the documents of a manifest were read from.

    Raises:
      UserError: the list is missing or damaged, or is that of another manifest.
    """
    path = raw_files_path(folder, seal(manifest.to_json())["sha256"])
    value, found = read_sealed(path, remedy=folder_remedy(path))
    if found != manifest.files_sha256:
        raise UserError(f"{path} is the list of other raw files; {folder_remedy(path)}")
    return Inventory.from_json(value, path=path)


def write_documents_manifest(
    folder: StrPath, manifest: DocumentsManifest, inventory: Inventory
) -> tuple[str, str]:
    """Writes the manifest and its list of raw files; returns the manifest's name and hash.

    Files that exist already with these contents are left as they are.
    """
    sha256 = seal(manifest.to_json())["sha256"]
    name = f"{sha256[:_HEX]}.json"
    contents = {
        raw_files_path(folder, sha256): inventory.to_json(),
        epath.Path(folder) / name: manifest.to_json(),
    }
    for path, value in contents.items():
        if not _holds(path, value):
            write_sealed(path, value)
    return name, sha256


def raw_files_path(folder: StrPath, sha256: str) -> epath.Path:
    """Returns where the raw files of a manifest with this hash are listed."""
    return epath.Path(folder) / f"{sha256[:_HEX]}.files.json"


def _holds(path: StrPath, value: Mapping[str, Any]) -> bool:
    try:
        return is_file(path) and read_sealed(path)[1] == seal(value)["sha256"]
    except UserError:
        return False
