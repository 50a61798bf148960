import itertools
import os
import pickle
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import grain
import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath
from codepretrain.rows import verify
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.records import RecordWriter
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.rows.verify import check_folder
from tests.fixtures.sources import write_source

Make = Callable[..., RowStore]


def numbers(store: RowStore, records: range) -> list[int]:
    """The record number that the fixture wrote into each row's third token."""
    return [int(store[record].tokens[2]) - 1000 for record in records]


def test_every_record_across_shards(make_source: Make) -> None:
    store = make_source("text", 10, rows_per_part=4)
    assert len(store) == 10
    assert [shard.num_records for shard in store.manifest.row_shards] == [4, 4, 2]
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


def test_a_thousand_files_are_opened_once_each(
    make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random reads over many files open each of them at most once, and read nothing else."""
    store = make_source("text", 1000, rows_per_part=1)
    opened: list[str] = []
    num_bytes = itertools.count()
    original_open, original_read = os.open, os.pread

    def counting_open(path, *args, **kwargs):
        opened.append(str(path))
        return original_open(path, *args, **kwargs)

    def counting_read(descriptor, length, offset):
        for _ in range(length):
            next(num_bytes)
        return original_read(descriptor, length, offset)

    monkeypatch.setattr(os, "open", counting_open)
    monkeypatch.setattr(os, "pread", counting_read)
    records = np.random.default_rng(0).integers(1000, size=3000).tolist()
    for record in records:
        assert numbers(store, range(record, record + 1)) == [record]
    shards = [path for path in opened if path.endswith(".records")]
    assert len(shards) == len(set(shards)) == len(set(records))
    record_size = 17 + 2 * 20 + 8 * 2
    assert next(num_bytes) == 3000 * record_size


def test_many_threads_read(make_source: Make) -> None:
    store = make_source("text", 60, rows_per_part=6)
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


def test_it_is_a_random_access_source_for_grain(make_source: Make) -> None:
    store = make_source("text", 20)
    dataset = grain.MapDataset.source(store).shuffle(seed=0).map(lambda row: int(row.tokens[2]))
    assert sorted(dataset[i] for i in range(20)) == list(range(1000, 1020))


def test_pickles_as_its_directory_and_reopens_after_close(make_source: Make) -> None:
    store = make_source("text", 5)
    store[4]
    store.close()
    assert numbers(pickle.loads(pickle.dumps(store)), range(5)) == [0, 1, 2, 3, 4]
    assert numbers(store, range(5)) == [0, 1, 2, 3, 4]


def shard(store: RowStore, number: int) -> Path:
    return Path(store.directory / store.manifest.row_shards[number].name)


def reopen(store: RowStore) -> RowStore:
    return RowStore(store.directory, source=store.manifest.source, split=store.manifest.split)


def test_names_a_deleted_and_a_truncated_shard(make_source: Make) -> None:
    store = make_source("text", 10)
    size = shard(store, 2).stat().st_size
    shard(store, 1).unlink()
    with shard(store, 2).open("r+b") as file:
        file.truncate(size - 1)
    message = rf"part-00001/rows.records is missing; .*00002/rows.records has {size - 1} bytes, exp"
    with pytest.raises(UserError, match=message):
        reopen(store)


def test_names_the_record_of_a_shard_lost_while_open(make_source: Make) -> None:
    store = make_source("text", 10)
    shard(store, 1).unlink()
    message = r"source 'text' \(train\), record 6: there is no file .*part-00001/rows.records"
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
    damaged = reopen(store)
    assert numbers(damaged, range(2)) == [0, 1]
    with pytest.raises(
        UserError, match=r"record 2 of .*part-00000/rows.records is damaged: the crc32"
    ):
        damaged[2]
    with pytest.raises(UserError, match=r"part-00000/rows.records was altered: its sha256 differs"):
        check_folder(damaged.directory, "rows", reads_contents=True)


def test_names_the_shard_of_another_source_of_the_same_size(make_source: Make) -> None:
    text, code = make_source("text", 4), make_source("code", 4)
    assert shard(text, 0).stat().st_size == shard(code, 0).stat().st_size
    shard(code, 0).replace(shard(text, 0))
    with pytest.raises(UserError, match=r"source 'text' \(train\): record 0 of .*is damaged"):
        reopen(text)[0]


def test_names_a_record_that_is_no_row(make_source: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole record of the wrong contents, under a correct index: what `decode_row` refuses."""
    original = RecordWriter.write
    monkeypatch.setattr(
        RecordWriter,
        "write",
        lambda self, record: original(self, record.replace(b"ROW", b"WOR")),
    )
    store = make_source("text", 4)
    with pytest.raises(
        UserError, match=r"record 0 of .*part-00000/rows.records is damaged: not a row"
    ):
        store[0]


def test_full_check_of_whole_rows(make_source: Make) -> None:
    check_folder(make_source("text", 4).directory, "rows", reads_contents=True)


def test_no_rows(make_source: Make) -> None:
    store = make_source("text", 0)
    assert len(store) == 0
    assert store.stats.shape == (0, 3)


def test_damaged_statistics(make_source: Make) -> None:
    store = make_source("text", 4)
    path = Path(store.directory / "row_stats.npy")
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"row_stats.npy was altered: its sha256 differs"):
        reopen(store)


def test_the_index_of_the_documents_is_read_when_one_is_asked_for(
    make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training never asks, and the index is larger than all else that opening reads."""
    store = make_source("text", 4)
    read: list[str] = []
    original = verify.sha256_files

    def noting(paths: Iterable[StrPath]) -> list[str]:
        paths = [Path(path) for path in paths]
        read.extend(path.name for path in paths)
        return original(paths)

    monkeypatch.setattr(verify, "sha256_files", noting)
    store = reopen(store)
    assert numbers(store, range(4)) == list(range(4))
    assert sorted(read) == ["manifest.json", "row_stats.npy", "rows.index.npy"]
    assert [store.document(number)["id"] for number in range(4)] == [f"text/{n}" for n in range(4)]
    assert read[3:] == ["documents.index.npy"]


def test_a_damaged_index_of_the_documents(make_source: Make) -> None:
    store = make_source("text", 4)
    path = Path(store.directory / "documents.index.npy")
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    store = reopen(store)
    with pytest.raises(UserError, match=r"documents.index.npy was altered: its sha256 differs"):
        store.document(0)


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
    with pytest.raises(UserError, match=r"rows of 'b' and 'a' do not match: tokenizer_hash is"):
        open_sources(tmp_path, ["a", "b"], "train")
    with pytest.raises(UserError, match="max_seq_len is 16 and 8"):
        open_sources(tmp_path, ["a", "c"], "train")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_rows_of_another_source_or_split_in_the_directory(tmp_path: Path, split: str) -> None:
    write_source(tmp_path, "a", 3, split="train")
    wrong = rows_directory(tmp_path, "b", split) if split == "train" else None
    target = Path(wrong or rows_directory(tmp_path, "a", "validation"))
    target.parent.mkdir(parents=True, exist_ok=True)
    Path(rows_directory(tmp_path, "a", "train")).rename(target)
    source = target.parent.name
    message = rf"is the manifest of source 'a' \(train\), expected '{source}' \({split}\)"
    with pytest.raises(UserError, match=message):
        open_sources(tmp_path, [source], split)
