"""Random access to the prepared rows of one source and split."""

import itertools
import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from etils import epath

from codepretrain.errors import DamageError, UserError
from codepretrain.files.cache import Cache
from codepretrain.files.storage import StrPath, is_local
from codepretrain.rows.format import Row, decode_row
from codepretrain.rows.manifest import (
    DOCUMENTS,
    INDEXES,
    ROWS,
    STATS,
    RowsManifest,
    open_rows,
    rows_directories,
)
from codepretrain.rows.records import Records, index_name, open_array, open_index
from codepretrain.rows.shard_files import ShardFiles
from codepretrain.rows.verify import check_contents, folder_remedy


class RowStore:
    """The rows of one source and split, by number: a random-access source for Grain.

    Safe to read from threads. Reading a row takes constant time and memory for any number of
    files. Pickles as its directory.

    stats: [num_rows, 3] uint32, memory-mapped: documents begun, bytes, targets of each row.
    """

    def __init__(
        self, directory: StrPath, *, source: str, split: str, cache: Cache | None = None
    ) -> None:
        """Verifies the manifest, the rows' index and statistics, and the sizes of all files.

        The index of the documents is verified and opened when the first document is asked for.

        Args:
          cache: for rows on an object store; by default the user's.

        Raises:
          UserError: the rows are not (completely) prepared, are those of another source or split,
            or a file is missing, truncated or altered.
        """
        self.directory = epath.Path(directory)
        self._cache = cache
        self.manifest, hashes = open_rows(
            self.directory, source=source, split=split, reads=(index_name(ROWS), STATS)
        )
        shards = (*self.manifest.row_shards, *self.manifest.document_shards)
        names = [*(shard.name for shard in shards), *INDEXES]
        self._hashes = {name: hashes[name] for name in names if name in hashes}
        self._files = ShardFiles(self.directory, self._hashes, cache=cache)
        num_rows = self.manifest.num_rows
        counts = (part.num_documents for part in self.manifest.parts)
        self._first_documents = [0, *itertools.accumulate(counts)]  # of each part
        self._rows = Records(
            self._files, self.manifest.row_shards, self._index(ROWS, num_records=num_rows)
        )
        self.stats = open_array(
            self._files.hold(STATS),
            shape=(num_rows, 3),
            dtype=np.dtype(np.uint32),
            shown_as=self.directory / STATS,
            remedy=folder_remedy(self.directory),
        )

    def __len__(self) -> int:
        return self.manifest.num_rows

    def __getitem__(self, record: int) -> Row:
        """Returns one row, whose documents are numbered within the source and split.

        Raises:
          UserError: the record is damaged or cannot be read; names source, record and file.
        """
        content = self._read(self._rows, record)
        try:
            first = self._first_documents[self._rows.shard(record)]
            return decode_row(content, first_document=first)
        except ValueError as error:
            raise self._damaged(self._rows, record, error) from error

    def document(self, index: int) -> dict[str, Any]:
        """Returns the provenance of document `index`: id, origin, language, license and counts.

        Raises:
          UserError: the record, or the index of the documents, is damaged or cannot be read.
        """
        content = self._read(self._documents, index)
        try:
            return json.loads(content)
        except ValueError as error:
            raise self._damaged(self._documents, index, error) from error

    @cached_property
    def _documents(self) -> Records:
        name, remedy = index_name(DOCUMENTS), folder_remedy(self.directory)
        if is_local(self.directory):  # elsewhere the copy that is read is compared
            check_contents(self.directory, self._hashes, [name], remedy=remedy)
        index = self._index(DOCUMENTS, num_records=self.manifest.num_documents)
        return Records(self._files, self.manifest.document_shards, index)

    def close(self) -> None:
        """Closes the files; a later read opens them again."""
        self._files.close()

    def _index(self, name: str, *, num_records: int) -> np.ndarray:
        return open_index(
            self._files.hold(index_name(name)),
            num_records=num_records,
            shown_as=self.directory / index_name(name),
            remedy=folder_remedy(self.directory),
        )

    def _read(self, records: Records, record: int) -> bytes:
        try:
            return records[record]
        except UserError as error:
            manifest = self.manifest
            kind = DamageError if isinstance(error, DamageError) else UserError
            raise kind(
                f"source {manifest.source!r} ({manifest.split}), record {record}: {error}"
            ) from error
        except ValueError as error:
            raise self._damaged(records, record, error) from error

    def _damaged(self, records: Records, record: int, error: Exception) -> UserError:
        name, position = records.locate(record)
        return DamageError(
            f"source {self.manifest.source!r} ({self.manifest.split}): record {position} of "
            f"{self.directory / name} is damaged: {error}; {folder_remedy(self.directory)}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        manifest = self.manifest
        return _open, (str(self.directory), manifest.source, manifest.split, self._cache)


def _open(directory: str, source: str, split: str, cache: Cache | None) -> RowStore:
    return RowStore(directory, source=source, split=split, cache=cache)


def open_sources(
    data_dir: StrPath, sources: Iterable[str], split: str, *, cache: Cache | None = None
) -> dict[str, RowStore]:
    """Opens the rows of each source, in name order, and checks that they belong together.

    Raises:
      UserError: a source is not prepared or damaged, or two differ in tokenizer or row length.
    """
    directories = rows_directories(data_dir, sorted(sources), [split])
    stores = {
        source: RowStore(directory, source=source, split=split, cache=cache)
        for (source, _), directory in directories.items()
    }
    reference: RowsManifest | None = None
    for source, store in stores.items():
        manifest = store.manifest
        reference = reference or manifest
        for name in ("max_seq_len", "vocab_size", "tokenizer_hash", "vocabulary_hash"):
            ours, theirs = getattr(manifest, name), getattr(reference, name)
            if ours != theirs:
                raise UserError(
                    f"the rows of {source!r} and {reference.source!r} do not match: {name} is "
                    f"{ours} and {theirs}; delete {store.directory} and prepare again"
                )
    return stores
