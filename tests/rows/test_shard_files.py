"""Rows on an object store: read by ranges at once, and from whole copies once they are made."""

import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.cache import Cache
from codepretrain.files.hashing import sha256_bytes
from codepretrain.rows import shard_files as shard_files_module
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.shard_files import ShardFiles, host_cache
from codepretrain.rows.store import RowStore
from tests.fixtures.sources import write_source


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", max_bytes=10_000)


def test_local_files_are_read_in_place(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    files = ShardFiles(tmp_path, {"a": "its hash"}, cache=cache)
    assert files.read("a", 2, 5) == b"234"
    assert files.hold("a") == tmp_path / "a"
    files.close()
    assert files.read("a", 8, 20) == b"89"
    assert not (tmp_path / "cache").exists()


def test_a_range_is_read_at_once_and_the_copy_serves_later_reads(
    memory: epath.Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (memory / "a").write_bytes(b"0123456789")
    files = ShardFiles(memory, {"a": sha256_bytes(b"0123456789")}, cache=cache)
    assert files.read("a", 2, 5) == b"234"
    wait_for(lambda: "a" in files._local_paths)

    def refuse(*_: object) -> bytes:
        raise AssertionError("read from the store")

    monkeypatch.setattr(shard_files_module, "read_range", refuse)
    assert files.read("a", 3, 6) == b"345"
    assert [path.name for path in (tmp_path / "cache").iterdir() if len(path.name) == 64]
    files.close()
    monkeypatch.undo()
    assert files.read("a", 4, 7) == b"456"


def test_a_copy_that_was_removed_is_made_again(
    memory: epath.Path, cache: Cache, tmp_path: Path
) -> None:
    """As the system's cleaner of temporary files does."""
    (memory / "a").write_bytes(b"0123456789")
    files = ShardFiles(memory, {"a": sha256_bytes(b"0123456789")}, cache=cache)
    files.copy("a")
    [copy] = (tmp_path / "cache").glob("?" * 64)
    copy.unlink()
    assert files.read("a", 2, 5) == b"234"
    wait_for(copy.exists)
    assert files.read("a", 3, 6) == b"345"
    files.close()


def test_each_user_has_a_cache_that_no_other_can_write_to(
    memory: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (memory / "a").write_bytes(b"0")
    for user in (7, 8):
        monkeypatch.setattr(os, "getuid", lambda user=user: user)
        host_cache.__wrapped__().hold(memory / "a", sha256=sha256_bytes(b"0")).close()
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert [path.name for path in folders] == ["codepretrain-rows-7", "codepretrain-rows-8"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o700 for path in folders)


@pytest.mark.parametrize("sha256", [sha256_bytes(b"other"), sha256_bytes(b"0123456789")])
def test_without_space_or_with_a_damaged_copy_ranges_are_read_throughout(
    memory: epath.Path, tmp_path: Path, sha256: str
) -> None:
    (memory / "a").write_bytes(b"0123456789")
    files = ShardFiles(memory, {"a": sha256}, cache=Cache(tmp_path / "cache", max_bytes=9))
    assert files.read("a", 2, 5) == b"234"
    files.copy("a")
    assert "a" not in files._local_paths
    assert files.read("a", 2, 5) == b"234"
    with pytest.raises(UserError):
        files.hold("a")


def test_a_missing_object_is_named(memory: epath.Path, cache: Cache) -> None:
    files = ShardFiles(memory, {"a": "0" * 64}, cache=cache)
    with pytest.raises(UserError, match=r"there is no file .*bucket/folder/a"):
        files.read("a", 0, 1)


def test_rows_in_an_object_store_are_those_of_a_local_folder(
    memory: epath.Path, cache: Cache, tmp_path: Path
) -> None:
    write_source(memory, "text", 10)
    write_source(tmp_path, "text", 10)
    remote, local = (
        RowStore(rows_directory(root, "text", "train"), source="text", split="train", cache=cache)
        for root in (memory, tmp_path)
    )
    for _ in range(2):
        for number in range(10):
            assert remote[number].tokens.tolist() == local[number].tokens.tolist()
            assert remote.document(number) == local.document(number)
        assert remote.stats.tolist() == local.stats.tolist()
        wait_for(lambda: len(remote._files._local_paths) == 6)
    remote.close()


def test_an_altered_index_of_an_object_store_is_noticed(memory: epath.Path, cache: Cache) -> None:
    write_source(memory, "text", 10)
    directory = rows_directory(memory, "text", "train")
    path = directory / "rows.index.npy"
    contents = bytearray(storage.read_bytes(path))
    contents[-1] ^= 1
    path.write_bytes(bytes(contents))
    with pytest.raises(UserError, match=r"rows.index.npy is damaged: its sha256 is"):
        RowStore(directory, source="text", split="train", cache=cache)
