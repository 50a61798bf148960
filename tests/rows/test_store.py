import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from codepretrain.errors import UserError
from codepretrain.rows import store as rows_module
from codepretrain.rows.store import RowStore, open_sources

Make = Callable[..., RowStore]


def numbers(store: RowStore, records: range) -> list[int]:
    """The record number that conftest wrote into each row's third token."""
    return [int(store[record].tokens[2]) - 1000 for record in records]


def test_every_record_across_shards(make_source: Make) -> None:
    store = make_source("text", 10, rows_per_shard=4)
    assert len(store) == 10
    assert [shard.num_rows for shard in store.manifest.shards] == [4, 4, 2]
    assert numbers(store, range(10)) == list(range(10))
    assert store[7].tokens.shape == (9,)
    assert store.stats.dtype == np.uint32
    # documents begun, bytes 10 + record + 4, targets 4 + 2
    assert store.stats.tolist() == [[1, 14 + record, 6] for record in range(10)]
    assert store.document(3) == {
        "id": "text/3",
        "origin": "file 3",
        "language": "en",
        "license": "MIT",
    }
    with pytest.raises(AssertionError, match="record 10 of 10"):
        store[10]


def test_many_threads_read_through_few_open_files(
    make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_MAX_OPEN_SHARDS", 2)
    store = make_source("text", 60, rows_per_shard=6)
    wrong: list[int] = []

    def read(seed: int) -> None:
        for record in np.random.default_rng(seed).integers(60, size=200).tolist():
            if numbers(store, range(record, record + 1)) != [record]:
                wrong.append(record)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store._readers) == 2


def test_pickles_as_its_directory_and_reopens_after_close(make_source: Make) -> None:
    store = make_source("text", 5)
    store[4]
    store.close()
    assert numbers(pickle.loads(pickle.dumps(store)), range(5)) == [0, 1, 2, 3, 4]
    assert numbers(store, range(5)) == [0, 1, 2, 3, 4]


def shard(store: RowStore, number: int) -> Path:
    return store.directory / store.manifest.shards[number].name


def test_names_a_deleted_and_a_truncated_shard(make_source: Make) -> None:
    store = make_source("text", 10)
    size = shard(store, 2).stat().st_size
    shard(store, 1).unlink()
    with shard(store, 2).open("r+b") as file:
        file.truncate(size - 1)
    message = (
        "rows-00001-of-00003.arrayrecord is missing; "
        f"rows-00002-of-00003.arrayrecord has {size - 1} bytes, expected {size}"
    )
    with pytest.raises(UserError, match=message):
        RowStore(store.directory)


def test_names_the_record_of_a_shard_lost_while_open(make_source: Make) -> None:
    store = make_source("text", 10)
    shard(store, 1).unlink()
    message = r"source 'text' \(train\): record 2 of .*rows-00001-of-00003.arrayrecord cannot be"
    with pytest.raises(UserError, match=message):
        store[6]


def test_names_a_record_with_flipped_bytes(make_source: Make) -> None:
    """Of the same size, so that opening does not notice; a full check and the reader do."""
    store = make_source("text", 4)
    path = shard(store, 0)
    contents = bytearray(path.read_bytes())
    position = contents.index(np.array([1002, 7, 2], "<u2").tobytes())
    contents[position] ^= 1
    path.write_bytes(contents)
    damaged = RowStore(store.directory)
    assert numbers(damaged, range(2)) == [0, 1]
    with pytest.raises(UserError, match=r"record 2 of .*rows-00000-of-00001.arrayrecord cannot"):
        damaged[2]
    with pytest.raises(UserError, match=r"rows-00000-of-00001.arrayrecord has changed"):
        damaged.verify(full=True)


def test_names_a_record_that_is_no_row(make_source: Make) -> None:
    """A whole ArrayRecord file, of the wrong contents: what `decode_row` refuses."""
    store = make_source("text", 4)
    writer = ArrayRecordWriter(str(shard(store, 0)), "group_size:1")
    writer.write(b"no row")
    writer.close()
    with pytest.raises(UserError, match=r"record 0 of .*arrayrecord cannot be read: damaged row"):
        store[0]


def test_full_check_of_whole_rows(make_source: Make) -> None:
    make_source("text", 4).verify(full=True)


def test_damaged_statistics(make_source: Make) -> None:
    store = make_source("text", 4)
    np.save(store.directory / "row_stats.npy", np.zeros((3, 3), np.uint32))
    with pytest.raises(UserError, match=r"row_stats.npy: expected \(4, 3\) uint32, got \(3, 3\)"):
        RowStore(store.directory)
    (store.directory / "row_stats.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"damaged .*row_stats.npy"):
        RowStore(store.directory)


def test_open_sources(make_source: Make, tmp_path: Path) -> None:
    make_source("text", 3)
    make_source("code", 2)
    stores = open_sources(tmp_path, ["text", "code"], "train")
    assert {source: len(store) for source, store in stores.items()} == {"code": 2, "text": 3}
    with pytest.raises(UserError, match=r"no prepared rows at .*markup/train"):
        open_sources(tmp_path, ["text", "markup"], "train")


def test_sources_of_another_tokenizer_or_length_do_not_mix(
    make_source: Make, tmp_path: Path
) -> None:
    make_source("a", 3)
    make_source("b", 3, tokenizer_hash="u" * 64)
    make_source("c", 3, max_seq_len=16)
    with pytest.raises(UserError, match=r"rows of 'b' and 'a' do not go together: tokenizer_hash"):
        open_sources(tmp_path, ["a", "b"], "train")
    with pytest.raises(UserError, match="max_seq_len is 16 and 8"):
        open_sources(tmp_path, ["a", "c"], "train")


def test_rows_of_another_source_in_the_directory(make_source: Make, tmp_path: Path) -> None:
    store = make_source("a", 3)
    store.directory.parent.rename(tmp_path / "rows" / "b")
    with pytest.raises(UserError, match=r"holds rows of source 'a' \(train\), expected 'b'"):
        open_sources(tmp_path, ["b"], "train")
