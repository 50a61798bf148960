from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.new_file import NewFile


def test_bytes_are_appended_and_counted(tmp_path: Path) -> None:
    with NewFile(tmp_path / "a") as file:
        file.write(b"one")
        file.write(memoryview(b"two"))
        assert file.num_bytes == 6
    assert (tmp_path / "a").read_bytes() == b"onetwo"


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(UserError, match=f"cannot write {tmp_path}/a: "):
        NewFile(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_disk_is_named() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    file = NewFile.__new__(NewFile)
    file.path, file.num_bytes = full, 0
    file._file = full.open("wb")
    file.write(b"x")
    with pytest.raises(UserError, match="cannot write /dev/full: No space left on device; free"):
        file.close()
