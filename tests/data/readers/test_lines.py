import gzip
from pathlib import Path

import pytest

from codepretrain.data.readers import lines
from codepretrain.data.readers.lines import read_lines
from codepretrain.errors import UserError
from codepretrain.files import storage

TEXT = b"one\n\nthree" + b"3" * 50 + b"\r\nlast"
LINES = [(1, b"one"), (2, b""), (3, b"three" + b"3" * 50 + b"\r"), (4, b"last")]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 1000])
def test_lines_do_not_depend_on_the_chunks(
    tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(lines, "_MAX_CHUNK_BYTES", chunk_bytes)
    (tmp_path / "a").write_bytes(TEXT)
    (tmp_path / "a.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "two.gz").write_bytes(gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]) + b"\0\0")
    for name in ("a", "a.gz", "two.gz"):
        assert list(read_lines(tmp_path / name)) == LINES
    (tmp_path / "a").write_bytes(TEXT + b"\n")
    assert list(read_lines(tmp_path / "a")) == LINES


def test_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a.gz").write_bytes(gzip.compress(b""))
    assert list(read_lines(tmp_path / "a")) == list(read_lines(tmp_path / "a.gz")) == []


@pytest.mark.parametrize("cut", [1, 5, 12, -1, -9])
def test_a_cut_or_altered_gzip_file_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEXT)[:cut])
    with pytest.raises(UserError, match=f"{path} is damaged: it ends within"):
        list(read_lines(path))
    path.write_bytes(gzip.compress(TEXT) + b"garbage")
    with pytest.raises(UserError, match=f"{path} is damaged: Error"):
        list(read_lines(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no file {tmp_path}/a"):
        list(read_lines(tmp_path / "a"))
