"""Record files: what they are byte for byte, and that no record is taken for another."""

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.rows import records
from codepretrain.rows.records import (
    INDEX_DTYPE,
    Records,
    RecordWriter,
    Shard,
    index_name,
    open_array,
    open_index,
)
from codepretrain.rows.shard_files import ShardFiles

CONTENTS = [b"one", b"", b"three", b"4", b"five5"]


def write(folder: Path, contents: list[bytes] = CONTENTS) -> tuple[Shard, ...]:
    """Writes two records a file, and one index of all files."""
    folder.mkdir(exist_ok=True)
    shards, indexes = [], [np.empty(0, INDEX_DTYPE)]
    for number, some in enumerate([contents[i : i + 2] for i in range(0, len(contents), 2)]):
        with RecordWriter(folder, f"r-{number}") as writer:
            for content in some:
                writer.write(content)
            shards.append(writer.finish())
        assert writer.sha256.hexdigest() == hashlib.sha256(b"".join(some)).hexdigest()
        indexes.append(np.load(folder / index_name(f"r-{number}")))
    np.save(folder / index_name("r"), np.concatenate(indexes))
    return tuple(shards)


def open_records(folder: Path, shards: tuple[Shard, ...]) -> Records:
    files = ShardFiles(folder, {shard.name: "" for shard in shards})
    path = folder / index_name("r")
    num_records = sum(shard.num_records for shard in shards)
    index = open_index(path, num_records=num_records, shown_as=path, remedy="")
    return Records(files, shards, index)


def test_files_and_index_by_hand(tmp_path: Path) -> None:
    shards = write(tmp_path)
    assert shards == (
        Shard("r-0.records", 2),
        Shard("r-1.records", 2),
        Shard("r-2.records", 1),
    )
    assert [(tmp_path / shard.name).read_bytes() for shard in shards] == [
        b"one",
        b"three4",
        b"five5",
    ]
    index = np.load(tmp_path / "r.index.npy")
    assert index.dtype == INDEX_DTYPE
    assert index["offset"].tolist() == [0, 3, 0, 5, 0]
    assert index["length"].tolist() == [3, 0, 5, 1, 5]
    assert index["crc32"].tolist() == [zlib.crc32(content) for content in CONTENTS]


def test_records_are_written_in_order_whatever_the_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a")
    monkeypatch.setattr(records, "_BUFFER_BYTES", 1)
    write(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_every_record_is_read_and_located(tmp_path: Path) -> None:
    opened = open_records(tmp_path, write(tmp_path))
    assert [opened[i] for i in range(len(opened))] == CONTENTS
    assert [opened.shard(i) for i in range(5)] == [0, 0, 1, 1, 2]
    assert opened.locate(3) == ("r-1.records", 1)
    with pytest.raises(AssertionError, match="record 5 of 5"):
        opened[5]


def test_no_records(tmp_path: Path) -> None:
    assert len(open_records(tmp_path, write(tmp_path, []))) == 0


def test_any_flipped_bit_and_any_cut_is_noticed(tmp_path: Path) -> None:
    shards = write(tmp_path)
    path = tmp_path / shards[1].name
    whole = path.read_bytes()
    for position in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        record = 2 if position // 8 < 5 else 3
        with pytest.raises(ValueError, match="crc32"):
            open_records(tmp_path, shards)[record]
    path.write_bytes(whole[:5])
    opened = open_records(tmp_path, shards)
    assert opened[2] == b"three"
    with pytest.raises(ValueError, match="expected 1 bytes at 5, found 0"):
        opened[3]


def test_another_file_of_the_same_sizes_is_noticed(tmp_path: Path) -> None:
    shards = write(tmp_path / "a")
    write(tmp_path / "b", [content.upper() for content in CONTENTS])
    (tmp_path / "b" / shards[0].name).replace(tmp_path / "a" / shards[0].name)
    with pytest.raises(ValueError, match="the crc32 of its 3 bytes at 0 is not the index's"):
        open_records(tmp_path / "a", shards)[0]


def test_an_index_of_another_size_or_kind_is_named(tmp_path: Path) -> None:
    shards = write(tmp_path)
    path = tmp_path / index_name("r")
    with pytest.raises(UserError, match=rf"damaged {path}: expected \(4,\) .* found \(5,\) .*; do"):
        open_index(path, num_records=4, shown_as=path, remedy="do")
    np.save(path, np.zeros((5, 3), np.uint32))
    with pytest.raises(UserError, match=rf"damaged {path}: expected \(5,\) .* \(5, 3\) uint32"):
        open_records(tmp_path, shards)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=f"damaged {path}: .*; do"):
        open_array(path, shape=(5,), dtype=np.dtype("u4"), shown_as=path, remedy="do")
    path.unlink()
    with pytest.raises(UserError, match=f"cannot read {path}: No such file"):
        open_records(tmp_path, shards)
