"""Files that are whole whenever one looks, whatever happens to the writer."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import atomic, storage

_WRITE_FOREVER = """
import sys
from codepretrain.files import atomic, storage
path = storage.parse(sys.argv[1])
for number in range(10**9):
    atomic.write_bytes(path, bytes([number % 251]) * 300_000)
    print(number, flush=True)
"""


def test_replaces_and_makes_folders(folder: epath.Path) -> None:
    path = folder / "a" / "b.json"
    atomic.write_json(path, {"x": float("inf"), "y": [1, 2.5]})
    assert storage.read_json(path) == {"x": "Infinity", "y": [1, 2.5]}
    atomic.write_text(path, "é")
    assert storage.read_text(path) == "é"
    assert storage.names(folder / "a") == ["b.json"]


def test_only_one_of_many_creates_a_file(folder: epath.Path) -> None:
    barrier, created = threading.Barrier(8), []

    def create(number: int) -> None:
        barrier.wait()
        if atomic.create(folder / "x", b"%d" % number):
            created.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(created) == 1
    assert storage.read_bytes(folder / "x") == b"%d" % created[0]
    assert storage.names(folder) == ["x"]
    assert not atomic.create(folder / "x", b"later")


def test_create_knows_its_own_file_after_a_lost_answer(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library repeats a request that succeeded, and is told that the object is there."""
    fs = storage.filesystem(memory)[0]
    original = type(fs).pipe_file

    def twice(self: object, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)
        original(self, *args, **kwargs)

    monkeypatch.setattr(type(fs), "pipe_file", twice)
    assert atomic.create(memory / "x", b"mine")


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_killed_writers_leave_whole_files(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, start: Any
) -> None:
    folder = storage.parse(tmp_path) if kind == "local" else request.getfixturevalue(kind)
    for kill_after in (1, 2, 5, 9):
        process = start(_WRITE_FOREVER, folder / "x")
        for _ in range(kill_after):
            number = int(process.stdout.readline())
        process.kill()
        process.wait()
        content = storage.read_bytes(folder / "x")
        assert len(content) == 300_000
        assert len(set(content)) == 1
        assert content[0] >= number


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = storage.parse(tmp_path / "x")
    atomic.write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*/x: No space left.*free some space"):
        atomic.write_text(path, "new")
    assert storage.read_text(path) == "old"
    assert storage.names(tmp_path) == ["x"]


def test_names_of_new_folders_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file survives a power loss only if every folder above it does."""
    synced, fsync = set(), os.fsync

    def record(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    atomic.write_text(tmp_path / "a" / "b" / "c.json", "x")
    assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")} <= synced


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127], ids=["ascii", "unicode"])
def test_the_longest_names_can_be_written(name: str, tmp_path: Path) -> None:
    atomic.write_text(tmp_path / name, "x")
    assert storage.names(tmp_path) == [name]


def test_create_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FUSE mounts of object stores, and on FAT."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert atomic.create(tmp_path / "x", b"mine")
    assert not atomic.create(tmp_path / "x", b"yours")
    assert storage.read_bytes(tmp_path / "x") == b"mine"
    assert storage.names(tmp_path) == ["x"]


@pytest.mark.parametrize("path", ["/proc/nope/x", "file/x"])
def test_paths_that_cannot_be_written(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        atomic.write_text(storage.parse(os.path.join(tmp_path, path)), "x")
