"""A source's documents on disk: parts in a pool that studies share, and a manifest of the parts.

    <workdir>/data/documents/<source>-<12 digits of the hash of the reading settings>/
        <part key>/              the parts (`data/reading/document_parts.py`)
        <12 digits>.json         a DocumentsManifest, sealed and named by its hash
        <12 digits>.files.json   the raw files that its documents were read from
        checksums.json           checksums of raw files by stamp (`data/reading/checksums.py`)
    <data_dir>/documents.json    the manifests that the study uses

The selection, the tokenizer, the rows and the evaluation items are all made from these files, so
raw material is read once. A pool only grows: material that changed gives other parts.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
from etils import epath

from codepretrain.data.document import Document
from codepretrain.data.keys import KEY_TYPE
from codepretrain.data.reading.document_parts import (
    DocumentsPart,
    check_part,
    load_part_keys,
    read_part_documents,
)
from codepretrain.data.reading.documents_manifest import (
    DocumentsManifest,
    load_documents_manifest,
    load_raw_files,
    raw_files_path,
)
from codepretrain.data.reading.documents_view import (
    DocumentsEntry,
    documents_view_path,
    load_documents_view,
)
from codepretrain.data.reading.inventory import Inventory
from codepretrain.errors import UserError
from codepretrain.files.directory import is_whole
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import THREADS, StrPath, is_file
from codepretrain.rows.verify import folder_remedy

_HEX = 12  # digits of a hash in a name


class SourceDocuments:
    """The documents of one source of a study."""

    def __init__(
        self, folder: StrPath, manifest: DocumentsManifest, *, cache_bytes: int | None = None
    ) -> None:
        """folder: of the pool. cache_bytes: the limit of local copies."""
        self.folder = epath.Path(folder)
        self.manifest = manifest
        self.source = manifest.source
        self._cache_bytes = cache_bytes

    @cached_property
    def hash(self) -> str:
        """The identity of the documents, their order, their keys and the limit."""
        parts = [[part.key, part.sha256] for part in self.manifest.parts]
        return sha256_json({"parts": parts, "limit": self.manifest.limit})

    @cached_property
    def num_within_limit(self) -> int:
        """How many leading documents are within the reader's `max_bytes`: all without a limit."""
        limit, parts = self.manifest.limit, self.manifest.parts
        if limit is None or self.manifest.num_bytes < limit:
            return self.manifest.num_documents
        *_, last = parts
        rest = limit - (self.manifest.num_bytes - last.num_bytes)
        sizes = self._part_keys(last)["num_bytes"].cumsum(dtype=np.int64)
        before = self.manifest.num_documents - last.num_documents
        return before + int(np.searchsorted(sizes, rest)) + 1

    def part_folder(self, part: DocumentsPart) -> epath.Path:
        """Returns where a part is."""
        return self.folder / part.key

    def is_whole(self) -> bool:
        """Returns whether every part exists."""
        with ThreadPoolExecutor(THREADS) as pool:
            return all(pool.map(lambda part: is_whole(self.part_folder(part)), self.manifest.parts))

    def keys(self) -> np.ndarray:
        """Returns the keys of all documents, in order: [num_documents] of `keys.KEY_TYPE`.

        Raises:
          UserError: a file is missing or damaged.
        """
        keys = np.empty(self.manifest.num_documents, KEY_TYPE)
        start = 0
        for part in self.manifest.parts:
            keys[start : start + part.num_documents] = self._part_keys(part)
            start += part.num_documents
        return keys

    def read(self, wanted: np.ndarray | None = None) -> Iterator[Document]:
        """Yields documents in the order in which they were read.

        Args:
          wanted: [num_documents] bool, which documents to yield; None for all. Parts without any
            are not opened.

        Raises:
          UserError: a file is missing or damaged, or holds documents of another source.
        """
        if wanted is None:
            wanted = np.ones(self.manifest.num_documents, bool)
        assert wanted.shape == (self.manifest.num_documents,), "one value a document"
        start = 0
        for part in self.manifest.parts:
            chosen = wanted[start : start + part.num_documents]
            start += part.num_documents
            if chosen.any():
                yield from read_part_documents(
                    self.part_folder(part),
                    part,
                    source=self.source,
                    wanted=chosen,
                    cache_bytes=self._cache_bytes,
                )

    def check(self, *, reads_contents: bool) -> None:
        """Compares every part with its list of files, by size or by contents.

        Raises:
          UserError: names each file that is missing, truncated or altered, in all parts.
        """

        def problem(part: DocumentsPart) -> str:
            try:
                check_part(self.part_folder(part), part, reads_contents=reads_contents)
            except UserError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(THREADS) as pool:
            problems = [found for found in pool.map(problem, self.manifest.parts) if found]
        if problems:
            raise UserError("; ".join(problems))
        self.inventory()

    def inventory(self) -> Inventory:
        """Returns the raw files that the documents were read from.

        Raises:
          UserError: the list is missing or damaged.
        """
        return load_raw_files(self.folder, self.manifest)

    def _part_keys(self, part: DocumentsPart) -> np.ndarray:
        return load_part_keys(self.part_folder(part), part, cache_bytes=self._cache_bytes)


def pool_folder(data_dir: StrPath, source: str, settings_hash: str) -> epath.Path:
    """Returns where the parts of a source are that are read under some settings."""
    return epath.Path(data_dir).parent / "documents" / f"{source}-{settings_hash[:_HEX]}"


def has_documents(data_dir: StrPath, source: str) -> bool:
    """Returns whether the study's documents of a source exist with all parts.

    Raises:
      UserError: the study's list of documents, or the source's manifest, is damaged.
    """
    documents = find_documents(data_dir, source)
    return documents is not None and documents.is_whole()


def find_documents(
    data_dir: StrPath, source: str, *, cache_bytes: int | None = None
) -> SourceDocuments | None:
    """Returns the study's documents of a source; None if it was not read or files were deleted.

    Parts may be missing.

    Raises:
      UserError: as `open_documents`.
    """
    entry = load_documents_view(data_dir).get(source)
    if entry is None:
        return None
    folder = _pool(data_dir) / entry.folder
    if not is_file(folder / entry.manifest) or not is_file(raw_files_path(folder, entry.sha256)):
        return None
    return _open(data_dir, source, entry, cache_bytes)


def open_documents(
    data_dir: StrPath, source: str, *, cache_bytes: int | None = None
) -> SourceDocuments:
    """Returns the study's documents of a source. Parts are checked when they are read.

    Args:
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: the source was not (completely) read, the manifest is damaged, or these are the
        documents of another source.
    """
    entry = load_documents_view(data_dir).get(source)
    if entry is None:
        raise UserError(
            f"{documents_view_path(data_dir)} has no documents of source {source!r}: run "
            "`codepretrain prepare` first"
        )
    return _open(data_dir, source, entry, cache_bytes)


def _open(
    data_dir: StrPath, source: str, entry: DocumentsEntry, cache_bytes: int | None
) -> SourceDocuments:
    folder = _pool(data_dir) / entry.folder
    path = folder / entry.manifest
    manifest, found = load_documents_manifest(path)
    if manifest.source != source:
        raise UserError(
            f"{path} is the manifest of source {manifest.source!r}, expected {source!r}; "
            f"{folder_remedy(documents_view_path(data_dir))}"
        )
    if found != entry.sha256:
        raise UserError(
            f"{path} was altered: {documents_view_path(data_dir)} names its sha256 "
            f"{entry.sha256[:12]}, found {found[:12]}; {folder_remedy(path)}"
        )
    return SourceDocuments(folder, manifest, cache_bytes=cache_bytes)


def _pool(data_dir: StrPath) -> epath.Path:
    return epath.Path(data_dir).parent / "documents"
