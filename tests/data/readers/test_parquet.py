from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.data.document import Skipped
from codepretrain.data.readers.parquet import DAMAGED, RowGroups, read_rows, row_groups
from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError


def file_of(path: Path, table: pa.Table, **options) -> RawFile:
    pq.write_table(table, path, **options)
    return RawFile(str(path), path.name)


def test_a_file_without_rows_is_a_shard_so_that_the_inventory_names_it(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.parquet", pa.table({"text": pa.array([], pa.string())}))
    [shard] = row_groups(file)
    assert shard.file == file
    assert list(read_rows(shard, ["text"])) == []


def test_pages_are_compared_with_their_checksums(tmp_path: Path) -> None:
    table = pa.table({"text": ["first", "second"]})
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    path = tmp_path / "a.parquet"
    file = file_of(path, table, row_group_size=1, write_statistics=False, **options)
    content = path.read_bytes()
    assert content.count(b"first") == 1
    path.write_bytes(content.replace(b"first", b"worst"))
    [shard] = row_groups(file)
    damaged, second = read_rows(shard, ["text"])
    assert damaged == (1, Skipped(f"{path}:1", DAMAGED))
    assert second[0] == 2


def test_a_file_that_lost_row_groups_since_it_was_listed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    file = file_of(path, pa.table({"text": ["a", "b"]}), row_group_size=1)
    shard = RowGroups(file, (0, 1), 1)
    file_of(path, pa.table({"text": ["a"]}))
    with pytest.raises(UserError, match=rf"{path} changed while it was read"):
        list(read_rows(shard, ["text"]))
