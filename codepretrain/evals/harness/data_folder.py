"""The folder with the data of tasks: Parquet files that `evaluate --download` writes.

    <data>/manifest.json                              what was fetched, from which revision
           aps--super_glue--boolq/train.parquet
                                  validation.parquet

A dataset may also be placed by hand, without an entry in the manifest: files `<split>.parquet`,
`<split>-00000-of-00001.parquet` or `<split>.jsonl` with the fields of the dataset on the hub, or
the files of `original_formats.py`.

Errors say what is wrong; how to fetch it is for the caller to say, once.
"""

import io
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from etils import epath

from codepretrain.errors import UserError, described
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.evals.harness.original_formats import ORIGINAL_FORMATS, read_original
from codepretrain.files import storage
from codepretrain.files.explain import shown
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import StrPath, read_bytes

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_REMEDY = "remove it and fetch the data again"  # while it is there, nothing can be added to it


class DataFolder:
    """Reads what is in a folder; every file that the manifest lists is verified as it is read."""

    def __init__(self, folder: StrPath) -> None:
        self.folder = epath.Path(folder)
        self.manifest = read_manifest(folder)

    def splits(self, reference: DatasetReference) -> dict[str, epath.Path]:
        """Returns split → file of a dataset; only looks at names and sizes.

        Raises:
          UserError: it is not there, or a file is missing or has another size.
        """
        entry = self.manifest.get(reference.key)
        if entry is None:
            found = self._by_hand(reference)
            if not found:
                raise UserError(f"no data of {reference} in its folder {reference.folder}")
            return found
        for split, file in entry["splits"].items():
            path = self.folder / file["file"]
            size = storage.size(path) if storage.is_file(path) else None
            if size != file["bytes"]:
                state = "is missing" if size is None else f"has {size:,} bytes"
                raise UserError(
                    f"{shown(path)} {state}, expected {file['bytes']:,} bytes ({split} of "
                    f"{reference})"
                )
        return {split: self.folder / file["file"] for split, file in entry["splits"].items()}

    def content(self, reference: DatasetReference, split: str) -> bytes:
        """Returns the file of a split.

        Raises:
          UserError: the file is missing, or not the one that was fetched.
        """
        path = self.splits(reference)[split]
        content = read_bytes(path)
        entry = self.manifest.get(reference.key)
        if entry is not None and sha256_bytes(content) != entry["splits"][split]["sha256"]:
            raise UserError(f"{shown(path)} is damaged: it is not the file fetched")
        return content

    def read(self, reference: DatasetReference, split: str, *, limit: int | None) -> "Dataset":
        """Returns a split, or its first `limit` rows.

        Raises:
          UserError: the file is missing, damaged, or not the one that was fetched.
        """
        content = self.content(reference, split)
        return _read(reference, self.splits(reference)[split], content, limit)

    def _by_hand(self, reference: DatasetReference) -> dict[str, epath.Path]:
        place = self.folder / reference.folder
        original = ORIGINAL_FORMATS.get(reference.path)
        found = {}
        for name in storage.names(place):
            split = original.split_of(name) if original else None
            if split is None and PurePosixPath(name).suffix in (".parquet", ".jsonl"):
                split = PurePosixPath(name).stem.removesuffix("-00000-of-00001")
            if split is not None:
                found[split] = place / name
        return found


def read_manifest(folder: StrPath) -> dict[str, Any]:
    """Returns the datasets of a manifest by key; none if there is no manifest.

    Raises:
      UserError: there is no such folder, or the manifest is damaged.
    """
    path = epath.Path(folder) / MANIFEST
    if not storage.is_dir(folder):
        raise UserError(f"there is no folder {shown(folder)} with the data of tasks")
    if not storage.is_file(path):
        return {}
    value, _ = read_sealed(path, remedy=_REMEDY)
    if value.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{shown(path)} has format {value.get('format_version')!r}, this version reads "
            f"{FORMAT_VERSION}: {_REMEDY}"
        )
    return dict(value["datasets"])


def write_manifest(folder: StrPath, entries: Mapping[str, Any]) -> None:
    """Replaces the manifest."""
    value = {"format_version": FORMAT_VERSION, "datasets": dict(sorted(entries.items()))}
    write_sealed(epath.Path(folder) / MANIFEST, value)


def _read(
    reference: DatasetReference, path: epath.Path, content: bytes, limit: int | None
) -> "Dataset":
    from datasets import Dataset

    original = ORIGINAL_FORMATS.get(reference.path)
    if original is not None and original.split_of(path.name) is not None:
        return Dataset.from_list(read_original(original, content, shown(path))[:limit])
    try:
        if path.suffix == ".jsonl":
            lines = [line for line in content.splitlines() if line.strip()][:limit]
            return Dataset.from_list([json.loads(line) for line in lines])
        return _read_parquet(content, limit)
    except Exception as error:  # pyarrow, json and datasets each have their own for damage
        raise UserError(f"{shown(path)} is damaged: {described(error)}") from error


def _read_parquet(content: bytes, limit: int | None) -> "Dataset":
    """Returns the rows; the file's own metadata has the types of the fields (labels' names)."""
    import pyarrow.parquet
    from datasets import Dataset
    from datasets.table import InMemoryTable

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    return Dataset(InMemoryTable(table.slice(0, limit)))
