"""A source's documents on disk.

    <data_dir>/documents/<source>/
        train.arrayrecord, validation.arrayrecord    a document a record, in reading order
        manifest.json                                counts, sealed with its own hash
        files.json                                   size and hash of every file, written last

The tokenizer, the rows and the evaluation items are all made from these files, so raw material is
read once. They are read in order, so they stay compressed.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from array_record.python.array_record_module import ArrayRecordReader
from etils import epath

from codepretrain.data.document import Document
from codepretrain.errors import UserError
from codepretrain.files.directory import is_whole
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import SPLITS
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.verify import (
    MANIFEST,
    check_contents,
    check_folder,
    folder_remedy,
    read_manifest,
)

FORMAT_VERSION = 1
_READ_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class DocumentsManifest:
    """The result of reading one source: exact counts per split, and skipped material per reason.

    skipped_examples: reason → origin of the first that was skipped for it. was_capped: reading
    stopped at the option `max_bytes`, so there is more raw material.
    """

    format_version: int
    source: str
    settings_hash: str
    num_documents: Mapping[str, int]
    num_bytes: Mapping[str, int]
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, str]
    was_capped: bool

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def documents_directory(data_dir: StrPath, source: str) -> epath.Path:
    """Returns where the documents of one source are below the study's data directory."""
    return epath.Path(data_dir) / "documents" / source


def documents_name(split: str) -> str:
    """Returns the file name of a split's documents."""
    return f"{split}.arrayrecord"


def has_documents(directory: StrPath) -> bool:
    """Returns whether a source was completely read into a directory."""
    return is_whole(directory)


def load_documents_manifest(directory: StrPath, *, source: str) -> tuple[DocumentsManifest, str]:
    """Returns the manifest, and the hash of the documents of all splits.

    The hash covers their contents only, because the manifest contains local paths.

    Raises:
      UserError: the source was not (completely) read, a file is missing, truncated or damaged, or
        these are the documents of another source.
    """
    hashes = check_folder(directory, "documents", reads_contents=False)
    remedy = folder_remedy(directory)
    check_contents(directory, hashes, [MANIFEST], remedy=remedy)
    manifest = read_manifest(DocumentsManifest, directory, version=FORMAT_VERSION)
    if manifest.source != source:
        raise UserError(
            f"{epath.Path(directory) / MANIFEST} is the manifest of source {manifest.source!r}, "
            f"expected {source!r}; {remedy}"
        )
    names = [documents_name(split) for split in SPLITS]
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
    directory: StrPath, *, source: str, split: str, cache_bytes: int | None = None
) -> Iterator[Document]:
    """Yields the documents of one split in the order in which they were read.

    Args:
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: the file is missing or damaged, or holds documents of another source.
    """
    manifest, _ = load_documents_manifest(directory, source=source)
    path = epath.Path(directory) / documents_name(split)
    sha256 = check_folder(directory, "documents", reads_contents=False)[documents_name(split)]
    num_read = 0
    with host_cache(cache_bytes).hold(path, sha256=sha256) as local_path:
        for record in _records(str(local_path), path, folder_remedy(directory)):
            try:
                document = Document(**json.loads(record))
            except (ValueError, TypeError) as error:
                raise UserError(f"damaged {path}: {error}; {folder_remedy(directory)}") from error
            if document.source != source:
                raise UserError(
                    f"{path} holds a document of source {document.source!r}, expected {source!r}; "
                    f"{folder_remedy(directory)}"
                )
            num_read += 1
            yield document
    if num_read != manifest.num_documents[split]:
        raise UserError(
            f"damaged {path}: expected {manifest.num_documents[split]} documents, found "
            f"{num_read}; {folder_remedy(directory)}"
        )


def _records(local_path: str, path: StrPath, remedy: str) -> Iterator[bytes]:
    try:
        reader = ArrayRecordReader(local_path, "max_parallelism:1")
        num_records = reader.num_records()
        for start in range(0, num_records, _READ_BATCH):
            yield from reader.read(start, min(start + _READ_BATCH, num_records))
        reader.close()
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"damaged {path}: {error}; {remedy}") from error
