"""Directories that are there whole or not at all, whatever happens to their makers."""

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import directory, sealed, storage
from codepretrain.files.atomic import write_bytes, write_text
from codepretrain.files.directory import (
    check_directory,
    is_whole,
    joined_directory,
    whole_directory,
)
from codepretrain.files.hashing import sha256_bytes

_MAKE = """
import sys, time
from codepretrain.files import storage
from codepretrain.files.directory import whole_directory
path = storage.parse(sys.argv[1])
print("begun", flush=True)
with whole_directory(path) as folder:
    for number in range(40):
        (folder / f"{number}").write_bytes(bytes([number]) * 20_000)
        time.sleep(0.005)
    print("written", flush=True)
print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary directory, so that what is left there can be seen."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def fill(folder: Path, text: str = "text") -> None:
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text(text)
    (folder / "sub" / "b.bin").write_bytes(b"\0" * 100_000)


def test_appears_whole(folder: epath.Path, scratch: Path) -> None:
    path = folder / "rows"
    with whole_directory(path) as made:
        fill(made)
        assert not is_whole(path)
        assert not storage.exists(path)
    assert is_whole(path)
    assert storage.read_text(path / "a.txt") == "text"
    hashes = check_directory(path, reads_contents=True, remedy="prepare again")
    assert hashes == {"a.txt": sha256_bytes(b"text"), "sub/b.bin": sha256_bytes(b"\0" * 100_000)}
    assert storage.names(folder) == ["rows"]
    assert storage.names(path) == ["a.txt", "files.json", "sub"]
    assert storage.names(scratch) == []


def make_parts(path: epath.Path) -> list[str]:
    for name in ("p0", "p1"):
        with whole_directory(path / name) as made:
            fill(made, name)
    return ["p0", "p1"]


def test_parts_are_joined(folder: epath.Path, scratch: Path) -> None:
    path = folder / "rows"
    parts = make_parts(path)
    assert not is_whole(path)
    with joined_directory(path, parts) as made:
        (made / "index").write_text("of both")
    hashes = check_directory(path, reads_contents=True, remedy="")
    files = ("a.txt", "sub/b.bin", "files.json")
    assert sorted(hashes) == sorted(["index", *(f"{p}/{name}" for p in parts for name in files)])
    assert hashes["p1/a.txt"] == sha256_bytes(b"p1")
    assert storage.names(path) == ["files.json", "index", "p0", "p1"]
    assert storage.names(scratch) == []
    write_text(path / "p1" / "a.txt", "p9")
    with pytest.raises(UserError, match=r"damaged .*rows: p1/a.txt was altered: its sha256 diff"):
        check_directory(path, reads_contents=True, remedy="")


def test_parts_are_joined_again_after_a_failed_attempt(
    folder: epath.Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The added files are there, their list is not."""
    path = folder / "rows"
    parts = make_parts(path)
    original = {"replace": os.replace, "write": directory.write_bytes}

    def interrupted(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            target = os.fspath(args[-1] if name == "replace" else args[0])
            if target == os.fspath(path / "files.json"):
                raise KeyboardInterrupt
            return original[name](*args)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted("replace"))
        patch.setattr(directory, "write_bytes", interrupted("write"))
        with pytest.raises(KeyboardInterrupt), joined_directory(path, parts) as made:
            (made / "index").write_text("of both")
    assert storage.names(path) == ["index", "p0", "p1"]
    assert not is_whole(path)
    with joined_directory(path, parts) as made:
        (made / "index").write_text("of both")
    assert len(check_directory(path, reads_contents=True, remedy="")) == 7
    assert storage.names(scratch) == []


def test_a_part_that_is_missing_is_named(folder: epath.Path) -> None:
    path = folder / "rows"
    make_parts(path)
    with pytest.raises(UserError, match=r"p2.*files.json"), joined_directory(path, ["p2"]):
        pass
    assert not is_whole(path)


def test_an_error_leaves_nothing(folder: epath.Path, scratch: Path) -> None:
    def fill_twice(made: Path) -> None:
        fill(made)
        fill(made)  # the folder "sub" is there

    with pytest.raises(FileExistsError), whole_directory(folder / "rows") as made:
        fill_twice(made)
    assert storage.names(folder) == []
    assert storage.names(scratch) == []


def test_a_full_disk_is_explained(folder: epath.Path) -> None:
    with (
        pytest.raises(UserError, match=r"cannot write .*rows: No space left on device; free some"),
        whole_directory(folder / "rows"),
    ):
        raise RuntimeError("writing record: No space left on device")


@pytest.mark.parametrize("folder", ["memory"], indirect=True)
def test_a_full_temporary_folder_is_named(folder: epath.Path, scratch: Path) -> None:
    """The files of a directory in an object store fill the local disk, not the store."""
    message = rf"cannot write {scratch} \(TMPDIR\), where files are made for .*rows: No space"
    with pytest.raises(UserError, match=message), whole_directory(folder / "rows"):
        raise OSError(28, "No space left on device")
    with pytest.raises(UserError, match=message), joined_directory(folder / "rows", []):
        raise OSError(28, "No space left on device")


def test_the_first_of_two_makers_wins(folder: epath.Path) -> None:
    path = folder / "rows"
    with whole_directory(path) as second:
        fill(second, "second")
        with whole_directory(path) as first:
            fill(first, "first")
    assert storage.read_text(path / "a.txt") == "first"
    check_directory(path, reads_contents=True, remedy="")
    assert storage.names(folder) == ["rows"]


def test_what_is_not_ours_is_left_alone(folder: epath.Path) -> None:
    write_text(folder / "rows" / "novel.txt", "mine")
    with (
        pytest.raises(UserError, match="was not made by this program"),
        whole_directory(folder / "rows"),
    ):
        pytest.fail("the block must not run")
    assert storage.read_text(folder / "rows" / "novel.txt") == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    with whole_directory(storage.parse(tmp_path / "rows")) as made:
        fill(made)
    assert is_whole(tmp_path / "rows")


def test_a_link_to_an_empty_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk" / "rows").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "rows")
    with whole_directory(storage.parse(tmp_path / "link")) as made:
        assert made.parent == tmp_path / "disk"  # a folder is renamed within one file system
        fill(made)
    assert (tmp_path / "link").is_symlink()
    assert is_whole(tmp_path / "disk" / "rows")


def test_names_of_new_folders_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = set(), os.fsync

    def record(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    with whole_directory(storage.parse(tmp_path / "a" / "b" / "rows")) as made:
        fill(made)
    assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")} <= synced


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: storage.remove(path / "a.txt"), "a.txt is missing"),
        (lambda path: write_text(path / "a.txt", "te"), "a.txt has 2 bytes, expected 4"),
        (lambda path: write_text(path / "a.txt", "tExt"), "a.txt was altered"),
        (lambda path: write_text(path / "files.json", "{}"), "has no seal"),
        (lambda path: write_text(path / "files.json", "null"), "expected a JSON object"),
        (lambda path: sealed.write_sealed(path / "files.json", {}), "has format None"),
    ],
)
def test_damage_is_named(
    folder: epath.Path, damage: Callable[[epath.Path], object], message: str
) -> None:
    with whole_directory(folder / "rows") as made:
        fill(made)
    damage(folder / "rows")
    with pytest.raises(UserError, match=f"{message}.*prepare again"):
        check_directory(folder / "rows", reads_contents=True, remedy="prepare again")


def test_a_removed_directory_can_be_made_again(folder: epath.Path) -> None:
    for text in ("one", "two"):
        with whole_directory(folder / "rows") as made:
            fill(made, text)
        assert storage.read_text(folder / "rows" / "a.txt") == text
        directory.remove_directory(folder / "rows")
        directory.remove_directory(folder / "rows")
        assert storage.names(folder) == []


def test_remains_of_a_killed_upload_are_removed(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: epath.Path, content: bytes) -> None:
        if path.name == "files.json":
            raise KeyboardInterrupt
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(directory, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt), whole_directory(memory / "rows") as made:
            (made / "old.bin").write_bytes(b"rest")
    assert storage.names(memory / "rows") == ["old.bin"]
    with whole_directory(memory / "rows") as made:
        fill(made)
    assert storage.names(memory / "rows") == ["a.txt", "files.json", "sub"]
    assert storage.names(memory) == ["rows"]


def test_an_upload_killed_after_its_list_leaves_the_files_only(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: epath.Path, content: bytes) -> None:
        write_bytes(path, content)
        if path.name == "files.json":
            raise KeyboardInterrupt

    monkeypatch.setattr(directory, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_directory(memory / "rows") as made:
        fill(made)
    assert is_whole(memory / "rows")
    assert storage.names(memory / "rows") == ["a.txt", "files.json", "sub"]


def test_an_upload_that_arrived_altered_is_noticed(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(file: Path, target: epath.Path) -> None:
        content = file.read_bytes()
        write_bytes(target, content[:-1] + b"?" if target.name == "b.bin" else content)

    monkeypatch.setattr(directory, "_put", put)
    with (
        pytest.raises(UserError, match=r"b\.bin differs from what was uploaded"),
        whole_directory(memory / "rows") as made,
    ):
        fill(made)
    assert not is_whole(memory / "rows")


@pytest.mark.parametrize("kind", ["local", "s3", "gcs"])
def test_killed_makers_leave_nothing_or_all(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, start: Any, scratch: Path
) -> None:
    """At a random moment, ten times; then the next maker succeeds and cleans up."""
    folder = storage.parse(tmp_path / "x") if kind == "local" else request.getfixturevalue(kind)
    rng = random.Random(0)
    num_whole = 0
    for attempt in range(10):
        path = folder / f"rows-{num_whole}"
        process = start(_MAKE, path)
        process.stdout.readline()
        if attempt % 2:
            process.stdout.readline()  # killed around the rename or in the upload
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.wait()
        if is_whole(path):
            num_whole += 1
            assert len(check_directory(path, reads_contents=True, remedy="")) == 40
        elif kind == "local":
            assert not path.exists()
    assert num_whole < 10
    with whole_directory(folder / f"rows-{num_whole}") as made:
        fill(made)
    names = [f"rows-{number}" for number in range(num_whole + 1)]
    # A process killed just after it made a directory whole may leave the lease of its upload.
    assert [n for n in storage.names(folder) if not n.endswith(".uploading")] == sorted(names)
    assert storage.names(folder / names[-1]) == ["a.txt", "files.json", "sub"]
    assert storage.names(scratch) == []


@pytest.mark.parametrize("kind", ["local", "s3", "gcs"])
def test_two_processes_make_one_directory(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, start: Any
) -> None:
    folder = storage.parse(tmp_path / "x") if kind == "local" else request.getfixturevalue(kind)
    processes = [start(_MAKE, folder / "rows") for _ in range(3)]
    for process in processes:
        assert process.stdout.read().split() == ["begun", "written", "done"]
        assert process.wait() == 0
    assert len(check_directory(folder / "rows", reads_contents=True, remedy="")) == 40
    assert storage.names(folder) == ["rows"]
