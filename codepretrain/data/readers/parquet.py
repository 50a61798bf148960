"""Records of Parquet files, a few rows in memory at a time; only the needed columns are read.

pyarrow is imported when a file is read: every command imports the readers, and a training process
runs without the packages that prepare data.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codepretrain.data.document import Skipped
from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError
from codepretrain.files.range_file import RangeFile

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_BATCH = 8  # each may be one long value of a dictionary, unpacked again
# Eight MiB of a column are one request to an object store; with `pre_buffer`, the default of
# pyarrow, a whole row group is held.
_OPTIONS = {"buffer_size": 2**23, "pre_buffer": False, "page_checksum_verification": True}
_BYTES_PER_SHARD = 2**27  # of unpacked columns, by the file's own statement
_MAX_ROWS_LOST = 1_000_000  # that one damaged row group is counted as, whatever it states

MAX_VALUE_BYTES = 2**26

TOO_LONG = "value longer than 64 MiB"
NOT_PARQUET = "not Parquet, or the file is cut"
DAMAGED = "damaged row group"


@dataclass(frozen=True)
class RowGroups:
    """Consecutive row groups of a file; `first_row` counts from 1."""

    file: RawFile
    groups: Sequence[int]
    first_row: int


@dataclass(frozen=True)
class Row:
    """The values by column. One that is not UTF-8 is in `undecodable` instead."""

    value: dict[str, Any]
    undecodable: frozenset[str]


def row_groups(file: RawFile) -> list[RowGroups]:
    """Returns the file's row groups in runs of about 128 MiB; reads only the file's footer."""
    import pyarrow.parquet as pq

    shards: list[RowGroups] = []
    try:
        metadata = pq.ParquetFile(RangeFile(file.path)).metadata
        first_row, num_bytes, row = 1, 0, 1
        groups: list[int] = []
        for group in range(metadata.num_row_groups):
            groups.append(group)
            num_bytes += metadata.row_group(group).total_byte_size
            row += metadata.row_group(group).num_rows
            if num_bytes >= _BYTES_PER_SHARD or group == metadata.num_row_groups - 1:
                shards.append(RowGroups(file, tuple(groups), first_row))
                groups, num_bytes, first_row = [], 0, row
    except _errors():
        return [RowGroups(file, (), 1)]  # reading it says that it is damaged
    return shards or [RowGroups(file, (), 1)]


def column_names(file: RawFile) -> list[str]:
    """Returns the names of a file's columns; none if it is not Parquet. Reads only its footer."""
    import pyarrow.parquet as pq

    try:
        return list(pq.ParquetFile(RangeFile(file.path)).schema_arrow.names)
    except _errors():
        return []


def read_rows(shard: RowGroups, columns: Sequence[str]) -> Iterator[tuple[int, Row | Skipped]]:
    """Yields every row with its number from 1; columns that the file lacks are not in the values.

    Raises:
      UserError: the file is missing or unreadable, or has fewer row groups than when it was listed.
    """
    import pyarrow.parquet as pq

    path = shard.file.path
    try:
        file = pq.ParquetFile(RangeFile(path), **_OPTIONS)
        found = [name for name in file.schema_arrow.names if name in columns]
    except _errors():
        yield 1, Skipped(path, NOT_PARQUET)
        return
    if shard.groups and shard.groups[-1] >= file.metadata.num_row_groups:
        raise UserError(
            f"{path} changed while it was read: prepare again when nothing writes to it"
        )
    start = shard.first_row
    for group in shard.groups:
        number, stop = start, start + file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(_ROWS_PER_BATCH, [group], found, use_threads=False):
                for row in _rows(batch):
                    yield number, Skipped(f"{path}:{number}", TOO_LONG) if row is None else row
                    number += 1
        except _errors():
            for lost in range(number, min(stop, number + _MAX_ROWS_LOST)):
                yield lost, Skipped(f"{path}:{lost}", DAMAGED)
        start = stop


def _errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, OSError, UnicodeDecodeError)  # the last one: names of columns


def _rows(batch: "pa.RecordBatch") -> Iterator[Row | None]:
    """Yields each row, None for one with a value that is too long; one is unpacked at a time."""
    columns = [(name, batch.column(name)) for name in batch.schema.names]
    may_be_long = batch.nbytes > MAX_VALUE_BYTES
    for index in range(batch.num_rows):
        row = [(name, column[index]) for name, column in columns]
        if may_be_long and any(_is_too_long(scalar) for _, scalar in row):
            yield None
            continue
        value, undecodable = {}, set()
        for name, scalar in row:
            try:
                found = scalar.as_py()
                value[name] = found.decode() if isinstance(found, bytes) else found
            except UnicodeDecodeError:
                undecodable.add(name)
        yield Row(value, frozenset(undecodable))


def _is_too_long(scalar: "pa.Scalar") -> bool:
    buffer = scalar.as_buffer() if hasattr(scalar, "as_buffer") else None
    return buffer is not None and buffer.size > MAX_VALUE_BYTES
