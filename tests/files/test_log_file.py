"""The files that other processes write their output to."""

from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.log_file import last_line, log_size, open_log, read_log


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "0.log"
    for text in (b"one\n", b"two\n"):
        with open_log(path) as log:
            log.write(text)
    assert path.read_bytes() == b"one\ntwo\n"
    assert log_size(path) == 8


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=r"cannot write .*0\.log: "):
        open_log(tmp_path / "a" / "0.log")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", ""),
        (b"one\ntwo", "two"),
        (b"one\n  two  \n\n \n", "two"),
        (b"\xff\xfe\n", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"x" * 20_000 + b"\nend\n", "end"),
    ],
)
def test_the_last_line(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "0.log").write_bytes(content)
    assert last_line(tmp_path / "0.log") == line


def test_no_file_has_no_line(tmp_path: Path) -> None:
    assert last_line(tmp_path / "none") == ""
    assert log_size(tmp_path / "none") == 0
    with pytest.raises(UserError, match="there is no file"):
        read_log(tmp_path / "none", max_bytes=10)


def test_a_long_file_is_cut_in_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"0123456789abcdefghij")
    assert read_log(path, max_bytes=20) == b"0123456789abcdefghij"
    cut = read_log(path, max_bytes=8).decode()
    assert cut == "01\n… 12 bytes are left out …\nefghij"
