"""A part of a source's documents on disk: consecutive shards of the reader, read together.

    <part key>/
        documents.arrayrecord    a document a record, in reading order
        keys.npy                 the documents' keys (`data/keys.py`)
        inventory.json           the raw files that were read (`data/reading/inventory.py`)
        manifest.json            counts, sealed with its own hash
        files.json               size and hash of every file, written last

Parts are independent: each is a function of its raw files and of the reading settings. They are
read in order, so they stay compressed.
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
from codepretrain.data.keys import KEY_TYPE, KEYS, load_keys
from codepretrain.data.reading.inventory import INVENTORY
from codepretrain.errors import UserError
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

FORMAT_VERSION = 1
DOCUMENTS = "documents.arrayrecord"
_READ_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class PartManifest:
    """The result of reading one part: exact counts.

    skipped: reason → number of documents or pieces of raw material. skipped_examples: reason →
    origin of the first. drop_report: `filters.drop_report.DropReport` as JSON values.
    """

    format_version: int
    source: str
    key: str
    num_documents: int
    num_bytes: int
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, str]
    drop_report: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class DocumentsPart:
    """A part as a source's manifest names it. sha256: of its documents, keys and inventory."""

    key: str
    num_documents: int
    num_bytes: int
    sha256: str


def load_part(directory: StrPath, *, source: str) -> tuple[PartManifest, DocumentsPart]:
    """Returns the manifest of a part, and its entry for the source's manifest.

    Raises:
      UserError: a file is missing, truncated or damaged, or these are documents of another source
        or another part.
    """
    manifest, hashes = read_manifest(
        PartManifest, directory, "documents", version=FORMAT_VERSION, others=[INVENTORY]
    )
    expected = (source, epath.Path(directory).name)
    if (manifest.source, manifest.key) != expected:
        raise UserError(
            f"{epath.Path(directory) / MANIFEST} is the manifest of part {manifest.key} of source "
            f"{manifest.source!r}, expected part {expected[1]} of {source!r}; "
            f"{folder_remedy(directory)}"
        )
    part = DocumentsPart(
        key=manifest.key,
        num_documents=manifest.num_documents,
        num_bytes=manifest.num_bytes,
        sha256=_identity(directory, hashes),
    )
    return manifest, part


def check_part(directory: StrPath, part: DocumentsPart, *, reads_contents: bool) -> dict[str, str]:
    """Returns the SHA-256 of every file by name.

    Args:
      part: what the source's manifest names.
      reads_contents: compare the hashes of all bytes, not only names and sizes.

    Raises:
      UserError: names each file that is missing, truncated or altered; or this is another part.
    """
    hashes = check_folder(directory, "documents", reads_contents=reads_contents)
    if not reads_contents:
        small = [MANIFEST, INVENTORY]
        check_contents(directory, hashes, small, remedy=folder_remedy(directory))
    if (found := _identity(directory, hashes)) != part.sha256:
        raise UserError(
            f"damaged {directory}: its files.json lists other documents (sha256 {found[:12]}) than "
            f"the source's manifest (sha256 {part.sha256[:12]}); {folder_remedy(directory)}"
        )
    return dict(hashes)


def read_part_documents(
    directory: StrPath,
    part: DocumentsPart,
    *,
    source: str,
    wanted: np.ndarray,
    cache_bytes: int | None = None,
) -> Iterator[Document]:
    """Yields the wanted documents of a part in the order in which they were read.

    Args:
      wanted: [part.num_documents] bool.
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: the file is missing or damaged, or holds documents of another source.
    """
    assert wanted.shape == (part.num_documents,), "one value a document"
    sha256 = check_part(directory, part, reads_contents=False)[DOCUMENTS]
    path, remedy = epath.Path(directory) / DOCUMENTS, folder_remedy(directory)
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


def load_part_keys(
    directory: StrPath, part: DocumentsPart, *, cache_bytes: int | None = None
) -> np.ndarray:
    """Returns the keys of a part's documents: [part.num_documents] of `KEY_TYPE`.

    Raises:
      UserError: a file is missing or damaged.
    """
    if not part.num_documents:
        return np.empty(0, KEY_TYPE)
    hashes, remedy = check_part(directory, part, reads_contents=False), folder_remedy(directory)
    check_contents(directory, hashes, [KEYS], remedy=remedy)
    path = epath.Path(directory) / KEYS
    with host_cache(cache_bytes).hold(path, sha256=hashes[KEYS]) as local_path:
        return load_keys(local_path, num_keys=part.num_documents, shown_as=path, remedy=remedy)


def _identity(directory: StrPath, hashes: Mapping[str, str]) -> str:
    """Returns a hash of everything but the manifest, which contains local paths."""
    names = [DOCUMENTS, KEYS, INVENTORY]
    missing = [name for name in names if name not in hashes]
    if missing:
        raise UserError(
            f"damaged {directory}: {', '.join(missing)} is missing from files.json; "
            f"{folder_remedy(directory)}"
        )
    return sha256_json({name: hashes[name] for name in names})


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
