from pathlib import Path

import pytest

from codepretrain.data.document import Skipped
from codepretrain.data.readers import reader as reader_module
from codepretrain.data.readers.reader import chunks, read_utf8
from codepretrain.errors import UserError


def test_chunks() -> None:
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert chunks([], 2) == []


def test_text_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffné".encode())
    assert read_utf8(tmp_path / "a", "o") == "né"


def test_why_a_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"\xe9")
    assert read_utf8(tmp_path / "a", "o") == Skipped("o", "not UTF-8")
    assert read_utf8(tmp_path, "o") == Skipped("o", "not a regular file")
    missing = Skipped("o", "unreadable: No such file or directory")
    assert read_utf8(tmp_path / "b", "o") == missing

    def refuse(path: object) -> bytes:
        raise UserError(f"cannot read {path}") from PermissionError(13, "Permission denied")

    monkeypatch.setattr(reader_module, "read_bytes", refuse)
    assert read_utf8(tmp_path / "a", "o") == Skipped("o", "unreadable: Permission denied")
