import io
import os
from array import array
from pathlib import Path

import pytest

from codepretrain.files.range_file import RangeFile
from codepretrain.files.storage import MissingFileError


def test_reads_and_seeks_as_a_file_in_memory_does(tmp_path: Path) -> None:
    content = bytes(range(256))
    (tmp_path / "a").write_bytes(content)
    ours, theirs = RangeFile(tmp_path / "a"), io.BytesIO(content)
    for offset, whence, size in [(3, 0, 5), (-9, 2, 4), (2, 1, 300), (0, 0, -1), (999, 0, 3)]:
        assert ours.seek(offset, whence) == theirs.seek(offset, whence)
        assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()
    ours.seek(-3, os.SEEK_END)
    buffer = bytearray(5)
    assert ours.readinto(buffer) == 3
    assert bytes(buffer) == content[-3:] + b"\0\0"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=f"{tmp_path}/absent"):
        RangeFile(tmp_path / "absent")


def test_reads_into_a_buffer_of_wider_items(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(9)))
    into = array("H", [7] * 4)
    assert RangeFile(tmp_path / "a").readinto(into) == 8
    assert into.tobytes() == bytes(range(8))
