import gzip
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from codepretrain.data.document import Skipped
from codepretrain.data.readers import compression, lines
from codepretrain.data.readers.lines import DAMAGED, TOO_LONG, read_lines
from codepretrain.errors import UserError
from codepretrain.files import storage

TEXT = b"one\n\nthree" + b"3" * 50 + b"\r\nlast"
LINES = [(1, b"one"), (2, b""), (3, b"three" + b"3" * 50 + b"\r"), (4, b"last")]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 1000])
def test_lines_do_not_depend_on_the_chunks(
    tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(compression, "_MAX_CHUNK_BYTES", chunk_bytes)
    (tmp_path / "a").write_bytes(TEXT)
    (tmp_path / "a.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "two.gz").write_bytes(gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]) + b"\0\0")
    (tmp_path / "a.zst").write_bytes(zstandard.compress(TEXT))
    (tmp_path / "two.zst").write_bytes(zstandard.compress(TEXT[:9]) + zstandard.compress(TEXT[9:]))
    for name in ("a", "a.gz", "two.gz", "a.zst", "two.zst"):
        assert list(read_lines(tmp_path / name)) == LINES
    (tmp_path / "a").write_bytes(TEXT + b"\n")
    assert list(read_lines(tmp_path / "a")) == LINES


def test_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "a.zst").write_bytes(zstandard.compress(b""))
    for name in ("a", "a.gz", "a.zst"):
        assert list(read_lines(tmp_path / name)) == []


PACK = {"gz": gzip.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("cut", [1, 5, 12, -1, -4])
def test_a_cut_file_ends_with_what_was_lost(tmp_path: Path, cut: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(PACK[suffix](TEXT)[:cut])
    *found, last = read_lines(path)
    assert found == LINES[: len(found)]
    number = len(found) + 1
    assert last == (number, Skipped(f"{path}:{number}", DAMAGED))


@pytest.mark.parametrize("suffix", PACK)
def test_garbage_after_the_compressed_data_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(PACK[suffix](TEXT + b"\n") + b"garbage")
    assert list(read_lines(path)) == [*LINES, (5, Skipped(f"{path}:5", DAMAGED))]


@pytest.mark.parametrize("suffix", ["txt", *PACK])
def test_a_line_that_is_too_long_is_skipped(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 20)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(PACK.get(suffix, bytes)(TEXT + b"\n" + b"x" * 21))
    too_long = [(number, Skipped(f"{path}:{number}", TOO_LONG)) for number in (3, 5)]
    assert list(read_lines(path)) == [*LINES[:2], too_long[0], LINES[3], too_long[1]]


def test_what_a_small_file_unpacks_to_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.compress(b"x" * 2**28 + b"\n") + zstandard.compress(b"last"))
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    found = list(read_lines(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(1, Skipped(f"{path}:1", TOO_LONG)), (2, b"last")]
    assert peak < 2**28


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no file {tmp_path}/a"):
        list(read_lines(tmp_path / "a"))


def test_the_lines_before_damage_within_a_piece_of_gzip_are_read(tmp_path: Path) -> None:
    """A piece of 64 KiB unpacks to far more; its lines before the damage are not lost with it."""
    text = b"".join(b"line %d\n" % number for number in range(20_000))
    packed = gzip.compress(text)
    assert len(packed) < 2**16
    path = tmp_path / "a.gz"
    middle = len(packed) // 2
    path.write_bytes(packed[:middle] + b"\xff" * 100 + packed[middle + 100 :])
    found = list(read_lines(path))
    assert found[:9000] == [(number + 1, b"line %d" % number) for number in range(9000)]
    assert found[-1] == (len(found), Skipped(f"{path}:{len(found)}", DAMAGED))
