"""Small files that unpack to much more: they are read to the end with bounded memory."""

import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from codepretrain.data.readers.lines import TOO_LONG
from tests.data.readers.peak_memory import read_measured

MIB = 2**20
LINE = b'{"text": "x"}\n'


def gzip_of(parts: list[bytes]) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*map(packer.compress, parts), packer.flush()])


def zstd_of(parts: list[bytes]) -> bytes:
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join([*map(packer.compress, parts), packer.flush()])


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip_of), ("zst", zstd_of)])
@pytest.mark.parametrize("filler", [b"\n", b"x"])
def test_one_character_repeated(tmp_path: Path, suffix: str, pack, filler: bytes) -> None:
    num_parts = 32 if filler == b"\n" else 1024
    path = tmp_path / f"a.jsonl.{suffix}"
    path.write_bytes(pack([LINE, *([filler * MIB] * num_parts), b"\n", LINE]))
    assert path.stat().st_size < 2 * MIB
    counts, num_bytes = read_measured("records", path=str(path))
    assert counts == {"document": 2} | ({TOO_LONG: 1} if filler == b"x" else {})
    assert num_bytes < 200 * MIB


def test_a_column_that_repeats_one_long_value(tmp_path: Path) -> None:
    """The dictionary of a column holds 40 MiB once; all of its rows would be 10 GiB."""
    path = tmp_path / "a.parquet"
    column = pa.DictionaryArray.from_arrays(
        pa.array([0] * 256, pa.int32()), pa.array(["x" * 40 * MIB])
    )
    pq.write_table(pa.table({"text": column}), path)
    assert path.stat().st_size < 4 * MIB
    counts, num_bytes = read_measured("records", path=str(path))
    assert counts == {"document": 256}
    assert num_bytes < 700 * MIB


def test_a_large_row_group_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    text = pa.array([f"{number:08d}" * 500 for number in range(75_000)])
    pq.write_table(pa.table({"text": text}), path, use_dictionary=False, compression="none")
    assert path.stat().st_size > 250 * MIB
    counts, num_bytes = read_measured("records", path=str(path))
    assert counts == {"document": 75_000}
    assert num_bytes < 150 * MIB


def test_a_value_of_a_column_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["first", "x" * 100 * MIB, "last"]}), path)
    counts, num_bytes = read_measured("records", path=str(path))
    assert counts == {"document": 2, "value longer than 64 MiB": 1}
    assert num_bytes < 900 * MIB
