"""One part of the rows of a source and split: consecutive documents, packed by themselves.

    part-00000/
        rows.records         rows.index.npy         encoded rows (`rows/format.py`)
        documents.records    documents.index.npy    provenance of the documents, JSON
        row_stats.npy        [N, 3] uint32: documents begun, bytes, targets of each row
        part.json            counts, sealed with their own hash
        files.json           size and hash of every file above, written last

Nothing in a part depends on the other parts, so each can be made anywhere and again.
"""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.errors import DamageError
from codepretrain.files.sealed import read_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import FORMAT_VERSION
from codepretrain.rows.verify import check_contents, check_folder, folder_remedy, parse_manifest

PART = "part.json"


@dataclass(frozen=True, kw_only=True)
class PartManifest:
    """Counts of a part.

    identity: that of the rows, as in `RowsManifest`. number: of the part. rows_sha256: of the
    encoded rows in order. The counts are defined as in `RowsManifest`.
    """

    format_version: int
    identity: str
    number: int
    num_documents: int
    num_bytes: int
    num_tokens: int
    num_rows: int
    num_split_documents: int
    rows_sha256: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Part:
    """A part in the manifest of the whole."""

    name: str
    num_rows: int
    num_documents: int
    rows_sha256: str


def part_name(number: int) -> str:
    """Returns the folder name of a part."""
    return f"part-{number:05d}"


def load_part(directory: StrPath) -> PartManifest:
    """Returns the manifest of a whole part, after comparing the sizes of its files.

    Raises:
      UserError: a file is missing, truncated or damaged.
    """
    hashes = check_folder(directory, "part of rows", reads_contents=False)
    remedy = folder_remedy(directory)
    check_contents(directory, hashes, [PART], remedy=remedy)
    path = epath.Path(directory) / PART
    value, _ = read_sealed(path, remedy=remedy)
    return parse_manifest(PartManifest, value, version=FORMAT_VERSION, path=path, remedy=remedy)


def check_part(directory: StrPath, found: PartManifest, expected: dict[str, Any]) -> None:
    """Compares a part with what it must contain.

    Raises:
      UserError: names a field that differs.
    """
    for name, value in expected.items():
        if getattr(found, name) != value:
            raise DamageError(
                f"{epath.Path(directory) / PART}: {name} is {getattr(found, name)!r}, expected "
                f"{value!r}; {folder_remedy(directory)}"
            )


def merkle_root(parts_sha256: Iterable[str]) -> str:
    """Returns the SHA-256 of the parts' SHA-256 in order."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, parts_sha256))).hexdigest()
