import os
from pathlib import Path

from codepretrain.files.atomic import write_bytes
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.versions import Version, contents_checksum, file_version


def test_a_local_files_stamp_changes_with_contents_even_if_its_time_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = file_version(path)
    assert (first.size, first.checksum) == (3, None)
    assert file_version(path) == first
    assert contents_checksum(path, first) == f"sha256:{sha256_bytes(b'one')}"
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_version(path).stamp != first.stamp


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("absent")
    for name, stamp in (("pipe", "not a regular file"), ("link", "missing"), ("no", "missing")):
        version = file_version(tmp_path / name)
        assert version == Version(0, stamp, "")
        assert contents_checksum(tmp_path / name, version) == ""


def test_an_object_is_identified_by_what_its_store_states_or_by_its_contents(memory) -> None:
    path = memory / "a"
    write_bytes(path, b"one")
    first = file_version(path)
    assert first.size == 3
    checksum = contents_checksum(path, first)
    write_bytes(path, b"two")
    second = file_version(path)
    assert second.stamp != first.stamp
    assert contents_checksum(path, second) != checksum
    assert file_version(memory / "absent") == Version(0, "missing", "")
