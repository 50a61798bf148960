"""Records sorted by a key, on a local disk: more of them than memory holds.

SQLite keeps them in a temporary file. A new file is written without journal or waiting for the
disk: nobody reads it after a crash.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codepretrain.errors import UserError
from codepretrain.files.scratch import scratch_folder

Key = tuple[int, int, int]

_CACHE_KIB = 2**16
_MAX_KEY = 2**63 - 1


class SortedRecords:
    """Adds records in any order, then yields them in the order of their keys."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE records (a INTEGER, b INTEGER, c INTEGER, content BLOB, "
            "PRIMARY KEY (a, b, c)) WITHOUT ROWID"
        )

    def add(self, key: Key, content: bytes) -> bool:
        """Adds a record; returns False, and keeps the first, if there is one with this key.

        Raises:
          ValueError: a number of the key does not fit into 64 bits.
        """
        if any(abs(number) > _MAX_KEY for number in key):
            raise ValueError(f"a key of {key} does not fit into 64 bits")
        added = self._connection.execute(
            "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", (*key, content)
        )
        return added.rowcount == 1

    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        rows = self._connection.execute("SELECT a, b, c, content FROM records ORDER BY a, b, c")
        for a, b, c, content in rows:
            yield (a, b, c), content


@contextmanager
def sorted_records(parent: Path, name: str) -> Iterator[SortedRecords]:
    """Yields an empty store in a temporary folder below `parent`, and removes it at the end.

    Raises:
      UserError: the disk is full, or the folder cannot be written.
    """
    with scratch_folder(parent, name) as folder:
        connection = sqlite3.connect(folder / "records", isolation_level=None)
        try:
            for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
                connection.execute(f"PRAGMA {setting}")
            connection.execute("BEGIN")
            yield SortedRecords(connection)
        except sqlite3.OperationalError as error:
            raise UserError(f"cannot write to {parent}: {error}; choose another folder") from error
        finally:
            connection.close()
