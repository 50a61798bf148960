"""Addresses, and what a user is told about those that cannot be used."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes


def test_local_addresses_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert os.fspath(storage.parse("a/../b/")) == str(tmp_path / "b")
    assert os.fspath(storage.parse(Path("b"))) == str(tmp_path / "b")
    assert os.fspath(storage.parse("~/x")) == str(tmp_path / "home" / "x")
    assert storage.is_local(storage.parse("b"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("memory://bucket", "memory://bucket"),
        ("memory://bucket/", "memory://bucket"),
        ("memory://bucket//a/./b/../c/", "memory://bucket/a/c"),
    ],
)
def test_addresses_of_object_stores_are_normalized(address: str, expected: str) -> None:
    path = storage.parse(address)
    assert os.fspath(path) == expected
    assert os.fspath(path / "x" / "y") == f"{expected}/x/y"
    assert not storage.is_local(path)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "--workdir: expected a path, found ''"),
        ("a\0b", "--workdir: expected a path"),
        ("ftp://host/x", "expected a local path, gs:// or s3://, found ftp://"),
        ("gs:/bucket/x", "expected two slashes after the scheme"),
        ("gs://", "expected gs://BUCKET/FOLDER, found no bucket"),
        ("s3:///x", "expected s3://BUCKET/FOLDER, found no bucket"),
        ("~nobody-of-this-name/x", "there is no user 'nobody-of-this-name' here"),
        ("/gs/bucket", "local folders /gs, /s3, /az and /hf are not supported"),
    ],
)
def test_addresses_that_name_nothing(address: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        storage.parse(address, name="--workdir")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_current_directory_that_is_not_utf8_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    monkeypatch.chdir(os.fsdecode(folder))
    with pytest.raises(UserError, match=r"--workdir .*expected a path in UTF-8"):
        storage.parse("x", name="--workdir")


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("s3", "s3fs")])
def test_a_missing_package_is_named(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(storage, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(UserError, match=f"`{package}` is not installed: run `pip install"):
        storage.parse(f"{scheme}://bucket/x")


def test_what_is_there(folder: epath.Path) -> None:
    assert not storage.exists(folder)
    assert storage.names(folder) == []
    assert storage.sizes_below(folder) == {}
    write_bytes(folder / "a" / "b.bin", b"0123456789")
    write_bytes(folder / "c", b"")
    write_bytes(folder / "ab", b"1")
    assert storage.is_dir(folder)
    assert storage.is_dir(folder / "a")
    assert storage.is_file(folder / "a" / "b.bin")
    assert storage.is_file(folder / "c")
    assert not storage.exists(folder / "b")
    assert storage.names(folder) == ["a", "ab", "c"]
    assert storage.sizes_below(folder) == {"a/b.bin": 10, "c": 0, "ab": 1}
    assert storage.sizes_below(folder / "a") == {"b.bin": 10}
    assert storage.size(folder / "a" / "b.bin") == 10
    assert storage.read_range(folder / "a" / "b.bin", 3, 5) == b"34"
    assert storage.read_range(folder / "a" / "b.bin", 8, 50) == b"89"
    assert storage.read_bytes(folder / "c") == b""
    assert list(storage.read_chunks(folder / "c")) == []
    storage.remove(folder / "c")
    storage.remove(folder / "c")
    storage.remove_tree(folder / "a")
    storage.remove_tree(folder / "a")
    assert storage.names(folder) == ["ab"]


def test_several_processes_may_remove_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree
    (tmp_path / "a").mkdir()

    def meets_another(folder: str) -> None:
        monkeypatch.setattr(shutil, "rmtree", remove)
        raise FileNotFoundError(folder)

    monkeypatch.setattr(shutil, "rmtree", meets_another)
    storage.remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_large_file_comes_in_order(folder: epath.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHUNK_BYTES", 1000)
    content = os.urandom(5500)
    write_bytes(folder / "x", content)
    chunks = list(storage.read_chunks(folder / "x"))
    assert [len(chunk) for chunk in chunks] == [1000] * 5 + [500]
    assert b"".join(chunks) == content


def test_a_missing_file_is_named(folder: epath.Path) -> None:
    for read in (storage.read_bytes, storage.read_text, storage.read_json, storage.size):
        with pytest.raises(storage.MissingFileError, match=r"there is no file .*/none"):
            read(folder / "none")
    with pytest.raises(storage.MissingFileError):
        list(storage.read_chunks(folder / "none"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", r"expected a JSON object, found \[1, 2\]"),
        (b"null", "expected a JSON object, found null"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = storage.parse(tmp_path / "settings.json")
    write_bytes(path, content)
    with pytest.raises(UserError, match=r"settings\.json") as error:
        storage.read_json(path, remedy="prepare again")
    with pytest.raises(UserError, match=message):
        storage.read_json(path)
    assert "\n" not in str(error.value)
