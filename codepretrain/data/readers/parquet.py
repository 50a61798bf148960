"""Records of Parquet files, a few rows in memory at a time; only the needed columns are read.

pyarrow is imported when a file is read: every command imports the readers, and a training process
runs without the packages that prepare data.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codepretrain.data.document import Skipped
from codepretrain.data.readers.reader import RawFile
from codepretrain.files.range_file import RangeFile

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_BATCH = 64
_BYTES_PER_SHARD = 2**27  # of unpacked columns, by the file's own statement
_MAX_ROWS_LOST = 1_000_000  # that one damaged row group is counted as, whatever it states

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
    return shards


def read_rows(shard: RowGroups, columns: Sequence[str]) -> Iterator[tuple[int, Row | Skipped]]:
    """Yields every row with its number from 1; columns that the file lacks are not in the values.

    Raises:
      UserError: the file is missing or unreadable.
    """
    import pyarrow.parquet as pq

    path = shard.file.path
    try:
        file = pq.ParquetFile(RangeFile(path))
        found = [name for name in file.schema_arrow.names if name in columns]
    except _errors():
        yield 1, Skipped(path, NOT_PARQUET)
        return
    start = shard.first_row
    for group in shard.groups:
        number, stop = start, start + file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(_ROWS_PER_BATCH, [group], found, use_threads=False):
                for row in _rows(batch):
                    yield number, row
                    number += 1
        except _errors():
            for lost in range(number, min(stop, number + _MAX_ROWS_LOST)):
                yield lost, Skipped(f"{path}:{lost}", DAMAGED)
        start = stop


def _errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, OSError, UnicodeDecodeError)  # the last one: names of columns


def _rows(batch: "pa.RecordBatch") -> list[Row]:
    columns = {name: _values(batch.column(name)) for name in batch.schema.names}
    rows = []
    for index in range(batch.num_rows):
        value = {name: column[index] for name, column in columns.items()}
        bad = frozenset(name for name, item in value.items() if item is _UNDECODABLE)
        rows.append(Row({name: value[name] for name in value if name not in bad}, bad))
    return rows


_UNDECODABLE = object()


def _values(column: "pa.Array") -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: "pa.Scalar") -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _UNDECODABLE
