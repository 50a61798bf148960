"""Checksums are computed once for each state of a file."""

import json
import os

import pytest

from codepretrain.data.readers.reader import RawFile
from codepretrain.data.reading import checksums as checksums_module
from codepretrain.data.reading.checksums import CHECKSUMS, Checksums, versions
from codepretrain.files.hashing import sha256_bytes


@pytest.fixture
def files(tmp_path) -> list[RawFile]:
    for name in "ab":
        (tmp_path / name).write_text(name)
    return [RawFile(str(tmp_path / name), name) for name in "ab"]


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that were read."""
    read: list[str] = []
    original = checksums_module.contents_checksum

    def spy(path, version):
        if version.checksum is None:
            read.append(os.path.basename(path))
        return original(path, version)

    monkeypatch.setattr(checksums_module, "contents_checksum", spy)
    return read


def compute(folder, files) -> list[str]:
    checksums = Checksums(folder)
    found = checksums.of(files, versions(files))
    checksums.save()
    return found


def test_only_files_with_another_stamp_are_read(tmp_path, files, hashed) -> None:
    expected = [f"sha256:{sha256_bytes(name)}" for name in (b"a", b"b")]
    assert compute(tmp_path / "pool", files) == expected
    assert sorted(hashed) == ["a", "b"]
    assert compute(tmp_path / "pool", files) == expected
    assert sorted(hashed) == ["a", "b"]
    os.utime(tmp_path / "b")
    assert compute(tmp_path / "pool", files) == expected
    assert sorted(hashed) == ["a", "b", "b"]
    (tmp_path / "a").write_text("other")
    assert compute(tmp_path / "pool", files) == [f"sha256:{sha256_bytes(b'other')}", expected[1]]


def test_what_is_known_is_not_written_again(tmp_path, files) -> None:
    compute(tmp_path / "pool", files)
    path = tmp_path / "pool" / CHECKSUMS
    before = path.stat().st_mtime_ns
    compute(tmp_path / "pool", files)
    assert path.stat().st_mtime_ns == before


def test_many_bytes_are_saved_before_the_end(tmp_path, files, hashed, monkeypatch) -> None:
    monkeypatch.setattr(checksums_module, "_SAVE_BYTES", 2)
    Checksums(tmp_path / "pool").of(files, versions(files))
    assert sorted(hashed) == ["a", "b"]
    compute(tmp_path / "pool", files)
    assert sorted(hashed) == ["a", "b"]


@pytest.mark.parametrize(
    "contents", ["{}", "[]", "null", "", "[" * 10_000, '{"files": 1}', '{"files": {"a": [1]}}']
)
def test_damaged_checksums_are_computed_again(tmp_path, files, hashed, contents) -> None:
    expected = compute(tmp_path / "pool", files)
    (tmp_path / "pool" / CHECKSUMS).write_text(contents)
    assert compute(tmp_path / "pool", files) == expected
    assert sorted(hashed) == ["a", "a", "b", "b"]


def test_a_stated_version_needs_no_reading(tmp_path, hashed) -> None:
    files = [RawFile("", "name", version="1.2")]
    assert compute(tmp_path / "pool", files) == ["version:1.2"]
    assert hashed == []
    assert not (tmp_path / "pool" / CHECKSUMS).exists()


def test_a_file_that_is_missing_has_no_checksum(tmp_path, hashed) -> None:
    assert compute(tmp_path / "pool", [RawFile(str(tmp_path / "no"), "no")]) == [""]
    assert json.dumps(hashed) == "[]"
