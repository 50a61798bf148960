"""A source's documents on disk.

    <data_dir>/documents/<source>/
        documents.arrayrecord    a document a record, in reading order
        keys.npy                 keys of documents and dropped duplicates (`data/keys.py`)
        inventory.json           the raw files that were read (`data/inventory.py`)
        manifest.json            counts, sealed with its own hash
        files.json               size and hash of every file, written last

The splits, the tokenizer, the rows and the evaluation items are all made from these files, so raw
material is read once. They are read in order, so they stay compressed.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader
from etils import epath

from codepretrain.data.document import Document
from codepretrain.data.inventory import INVENTORY, Inventory, load_inventory
from codepretrain.data.keys import KEYS, load_keys
from codepretrain.errors import UserError
from codepretrain.files.directory import is_whole
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import StrPath
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.verify import (
    MANIFEST,
    check_contents,
    check_folder,
    folder_remedy,
    read_manifest,
)

FORMAT_VERSION = 2
DOCUMENTS = "documents.arrayrecord"
DUPLICATES = "exact duplicates"  # the reason for skipping that leaves a key
_READ_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class DocumentsManifest:
    """The result of reading one source: exact counts, and skipped material per reason.

    skipped_examples: reason → origin of the first that was skipped for it. num_files: raw files
    that were read. was_capped: reading stopped at the option `max_bytes`, so there is more raw
    material.
    """

    format_version: int
    source: str
    settings_hash: str
    num_documents: int
    num_bytes: int
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, str]
    num_files: int
    was_capped: bool

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def documents_directory(data_dir: StrPath, source: str) -> epath.Path:
    """Returns where the documents of one source are below the study's data directory."""
    return epath.Path(data_dir) / "documents" / source


def has_documents(directory: StrPath) -> bool:
    """Returns whether a source was completely read into a directory."""
    return is_whole(directory)


def load_documents_manifest(directory: StrPath, *, source: str) -> tuple[DocumentsManifest, str]:
    """Returns the manifest, and the hash of the documents, their keys and the raw files.

    The hash does not cover the manifest, which contains local paths.

    Raises:
      UserError: the source was not (completely) read, a file is missing, truncated or damaged, or
        these are the documents of another source.
    """
    hashes = check_folder(directory, "documents", reads_contents=False)
    remedy = folder_remedy(directory)
    check_contents(directory, hashes, [MANIFEST, INVENTORY], remedy=remedy)
    manifest = read_manifest(DocumentsManifest, directory, version=FORMAT_VERSION)
    if manifest.source != source:
        raise UserError(
            f"{epath.Path(directory) / MANIFEST} is the manifest of source {manifest.source!r}, "
            f"expected {source!r}; {remedy}"
        )
    names = [DOCUMENTS, KEYS, INVENTORY]
    missing = [name for name in names if name not in hashes]
    if missing:
        raise UserError(
            f"damaged {directory}: {', '.join(missing)} is missing from files.json; {remedy}"
        )
    return manifest, sha256_json({name: hashes[name] for name in names})


def verify_documents(directory: StrPath) -> None:
    """Compares the contents of every file with its SHA-256.

    Raises:
      UserError: names each file that is missing, truncated or altered.
    """
    check_folder(directory, "documents", reads_contents=True)


def read_documents(
    directory: StrPath,
    *,
    source: str,
    wanted: np.ndarray | None = None,
    cache_bytes: int | None = None,
) -> Iterator[Document]:
    """Yields the documents in the order in which they were read.

    Args:
      wanted: [num_documents] bool, which documents to yield; None for all.
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: the file is missing or damaged, or holds documents of another source.
    """
    manifest, _ = load_documents_manifest(directory, source=source)
    path, remedy = epath.Path(directory) / DOCUMENTS, folder_remedy(directory)
    if wanted is None:
        wanted = np.ones(manifest.num_documents, bool)
    sha256 = check_folder(directory, "documents", reads_contents=False)[DOCUMENTS]
    with host_cache(cache_bytes).hold(path, sha256=sha256) as local_path:
        for record in _records(str(local_path), path, wanted, remedy):
            try:
                document = Document(**json.loads(record))
            except (ValueError, TypeError) as error:
                raise UserError(f"damaged {path}: {error}; {remedy}") from error
            if document.source != source:
                raise UserError(
                    f"{path} holds a document of source {document.source!r}, expected {source!r}; "
                    f"{remedy}"
                )
            yield document


def load_documents_keys(
    directory: StrPath, *, source: str, cache_bytes: int | None = None
) -> np.ndarray:
    """Returns the keys of the documents and of the dropped duplicates: see `data/keys.py`.

    Raises:
      UserError: the source was not read, or a file is missing or damaged.
    """
    manifest, _ = load_documents_manifest(directory, source=source)
    hashes = check_folder(directory, "documents", reads_contents=False)
    remedy = folder_remedy(directory)
    check_contents(directory, hashes, [KEYS], remedy=remedy)
    num_keys = manifest.num_documents + manifest.skipped.get(DUPLICATES, 0)
    path = epath.Path(directory) / KEYS
    with host_cache(cache_bytes).hold(path, sha256=hashes[KEYS]) as local_path:
        return load_keys(local_path, num_keys=num_keys, shown_as=path, remedy=remedy)


def load_documents_inventory(directory: StrPath, *, source: str) -> Inventory:
    """Returns the raw files that the documents were read from.

    Raises:
      UserError: the source was not read, or a file is missing or damaged.
    """
    load_documents_manifest(directory, source=source)
    return load_inventory(directory, remedy=folder_remedy(directory))


def _records(local_path: str, path: StrPath, wanted: np.ndarray, remedy: str) -> Iterator[bytes]:
    """Yields the wanted records. Batches without any are not decompressed."""
    try:
        reader = ArrayRecordReader(local_path, "max_parallelism:1")
        if reader.num_records() != len(wanted):
            raise UserError(
                f"damaged {path}: expected {len(wanted)} documents, found "
                f"{reader.num_records()}; {remedy}"
            )
        for start in range(0, len(wanted), _READ_BATCH):
            stop = min(start + _READ_BATCH, len(wanted))
            chosen = np.flatnonzero(wanted[start:stop])
            if len(chosen):
                records = reader.read(start, stop)
                yield from (records[number] for number in chosen)
        reader.close()
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"damaged {path}: {error}; {remedy}") from error
