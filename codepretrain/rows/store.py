"""Random access to the prepared rows of one source and split."""

import bisect
import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader

from codepretrain.errors import UserError
from codepretrain.rows.format import Row, RowsManifest, decode_row, rows_directory

# No read-ahead and no threads of its own: single records, in random order, from our threads.
_RANDOM_ACCESS = "readahead_buffer_size:0,max_parallelism:0"
# Each open shard holds a file descriptor and an index of 8 bytes a record. Reopening costs
# about as much as ten reads, so beyond this many the least recently used is let go.
_MAX_OPEN_SHARDS = 128


class RowStore:
    """The rows of one source and split, by record number across its shards.

    Safe to read from many threads. Files are opened when first read. Pickles as its directory.

    stats: [num_rows, 3] uint32, memory-mapped: documents begun, bytes, target tokens of each row.
    """

    def __init__(self, directory: Path) -> None:
        """Reads the manifest and checks that every file is there, by size.

        Raises:
          UserError: the rows are not (completely) prepared, or a file is missing or truncated.
        """
        self.directory = Path(directory)
        self.manifest = RowsManifest.load(self.directory)
        self.verify(full=False)
        self.stats = self._load_stats()
        self._first_records = [
            0,
            *itertools.accumulate(shard.num_rows for shard in self.manifest.shards),
        ]
        self._readers: OrderedDict[str, ArrayRecordReader] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.manifest.num_rows

    def __getitem__(self, record: int) -> Row:
        """Returns one row.

        Raises:
          UserError: the record cannot be read or is damaged; names source, record and file.
        """
        assert 0 <= record < len(self), f"record {record} of {len(self)}"
        shard = bisect.bisect_right(self._first_records, record) - 1
        name = self.manifest.shards[shard].name
        position = record - self._first_records[shard]
        encoded = self._read(name, position)
        try:
            return decode_row(encoded)
        except ValueError as error:
            raise self._damaged(name, position, error) from error

    def document(self, index: int) -> dict[str, Any]:
        """Returns the provenance of document `index`: id, origin, language, license and counts."""
        name = "documents.arrayrecord"
        encoded = self._read(name, index)
        try:
            return json.loads(encoded)
        except ValueError as error:
            raise self._damaged(name, index, error) from error

    def verify(self, *, full: bool) -> None:
        """Compares the files with the manifest: their sizes, or with `full` all their bytes.

        Raises:
          UserError: names each file that is missing, truncated or altered.
        """
        self.manifest.check_files(self.directory, reads_contents=full)

    def close(self) -> None:
        """Closes the files as soon as no thread reads them; a later read opens them again."""
        with self._lock:
            self._readers.clear()

    def _read(self, name: str, position: int) -> bytes:
        try:
            return self._reader(name).read([position])[0]
        except (RuntimeError, OSError) as error:  # what ArrayRecord raises for a damaged file
            raise self._damaged(name, position, error) from error

    def _reader(self, name: str) -> ArrayRecordReader:
        """A reader that is dropped while another thread reads from it closes after that read."""
        with self._lock:
            reader = self._readers.get(name)
            if reader is None:
                reader = ArrayRecordReader(str(self.directory / name), _RANDOM_ACCESS)
                self._readers[name] = reader
                if len(self._readers) > _MAX_OPEN_SHARDS:
                    self._readers.popitem(last=False)
            self._readers.move_to_end(name)
            return reader

    def _load_stats(self) -> np.ndarray:
        path = self.directory / "row_stats.npy"
        try:
            stats = np.load(path, mmap_mode="r")
        except (ValueError, OSError, EOFError) as error:
            raise UserError(
                f"damaged {path}: {error}; delete {self.directory} and prepare again"
            ) from error
        if stats.shape != (self.manifest.num_rows, 3) or stats.dtype != np.uint32:
            raise UserError(
                f"damaged {path}: expected {(self.manifest.num_rows, 3)} uint32, got {stats.shape} "
                f"{stats.dtype}; delete {self.directory} and prepare again"
            )
        return stats

    def _damaged(self, name: str, position: int, error: Exception) -> UserError:
        return UserError(
            f"source {self.manifest.source!r} ({self.manifest.split}): record {position} of "
            f"{self.directory / name} cannot be read: {error}; delete {self.directory} and prepare "
            "again"
        )

    def __reduce__(self) -> tuple[type["RowStore"], tuple[Path]]:
        return RowStore, (self.directory,)


def open_sources(data_dir: Path, sources: Iterable[str], split: str) -> dict[str, RowStore]:
    """Opens the rows of each source, in name order, and checks that they belong together.

    Raises:
      UserError: a source is not prepared or damaged, or two differ in tokenizer or row length.
    """
    stores = {
        source: RowStore(rows_directory(data_dir, source, split)) for source in sorted(sources)
    }
    reference: RowsManifest | None = None
    for source, store in stores.items():
        manifest = store.manifest
        if (manifest.source, manifest.split) != (source, split):
            raise UserError(
                f"{store.directory} holds rows of source {manifest.source!r} ({manifest.split}), "
                f"expected {source!r} ({split}): delete it and prepare again"
            )
        reference = reference or manifest
        for name in ("max_seq_len", "vocab_size", "tokenizer_hash"):
            ours, theirs = getattr(manifest, name), getattr(reference, name)
            if ours != theirs:
                raise UserError(
                    f"the rows of {source!r} and {reference.source!r} do not go together: {name} "
                    f"is {ours} and {theirs}; delete {store.directory} and prepare again"
                )
    return stores
