"""Malformed input of every kind, as real bytes: counted, named, and the records around it kept.

Small files that unpack to much more are in `test_bombs.py`.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from codepretrain.data.readers.damage import is_damage
from tests.data.readers.reading import read, reader
from tests.data.readers.repositories import Repository

LINES = [json.dumps({"text": f"text {number}"}).encode() for number in range(1, 10_001)]
TEXTS = [f"text {number}" for number in range(1, 10_001)]


def outcome(made, folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Returns the texts, and place and reason of what is skipped; all of it must be damage."""
    documents, skipped = read(made)
    assert all(is_damage(item.reason) for item in skipped)
    places = [(item.origin.removeprefix(f"{folder}/"), item.reason) for item in skipped]
    return [document.text for document in documents], places


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "not JSON"),
        (b"\x00\x01\x02", "not JSON"),
        (b'{"text": "\xff\xfe"}', "not UTF-8"),
        (b'{"text": "\xed\xa0\x80"}', "not UTF-8"),
        (b'["text"]', "not a JSON object"),
        (b'{"body": "x"}', "no field 'text'"),
        (b'{"text": {"a": 1}}', "field 'text' is not text"),
        (b'{"text": "' + b"x" * 100_000_000 + b'"}', "line longer than 64 MiB"),
    ],
)
def test_a_broken_line(tmp_path: Path, name: str, line: bytes, reason: str) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": lambda data: gzip.compress(data, 1),
        ".zst": lambda data: zstandard.compress(data, 1),
    }
    content = b"\n".join([*LINES[:50], line, *LINES[50:100]])
    path = tmp_path / name
    path.write_bytes(pack.get(path.suffix, bytes)(content))
    texts, skipped = outcome(reader("records", path=str(path)), tmp_path)
    assert texts == TEXTS[:100]
    assert skipped == [(f"{name}:51", reason)]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_damaged_compression_between_two_good_files(
    tmp_path: Path, suffix: str, damage: str
) -> None:
    """Lines between the damage and where it shows, at the latest in a checksum, may be altered."""
    zstd = zstandard.ZstdCompressor(write_checksum=True)
    pack = {"gz": gzip.compress, "zst": zstd.compress}[suffix]
    random_bytes = random.Random(0).randbytes
    texts = [random_bytes(100).hex() for _ in range(4000)]
    content = "\n".join(json.dumps({"text": text}) for text in texts).encode()
    for name in "abc":
        (tmp_path / f"{name}.jsonl.{suffix}").write_bytes(pack(content))
    path = tmp_path / f"b.jsonl.{suffix}"
    whole = path.read_bytes()
    middle = len(whole) // 2
    after = b"" if damage == "cut" else b"\xff" * 50 + whole[middle + 50 :]
    path.write_bytes(whole[:middle] + after)
    made = reader("records", path=f"{tmp_path}/*.jsonl.{suffix}")
    found, skipped = outcome(made, tmp_path)
    # Of zstd, a block of 128 KiB of lines is lost with the damage.
    num_before = 1950 if suffix == "gz" else 1300
    assert found[: len(texts) + num_before] == [*texts, *texts[:num_before]]
    assert found[-len(texts) :] == texts
    assert {place.partition(":")[0] for place, _ in skipped} == {f"b.jsonl.{suffix}"}
    assert skipped[-1][1] == "damaged compression: the rest of the file"
    last = int(skipped[-1][0].rpartition(":")[2])
    assert last > num_before
    assert len(found) + len(skipped) == 2 * len(texts) + last


def test_a_cut_parquet_file_and_a_damaged_row_group(tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS[:300]})
    for name in "abc":
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=100, compression="zstd")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    column = pq.ParquetFile(tmp_path / "b.parquet").metadata.row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    stop = start + column.total_compressed_size
    (tmp_path / "b.parquet").write_bytes(whole[:start] + b"\xff" * (stop - start) + whole[stop:])
    texts, skipped = outcome(reader("records", path=f"{tmp_path}/*.parquet"), tmp_path)
    assert texts == [*TEXTS[:100], *TEXTS[200:300], *TEXTS[:300]]
    assert skipped[0] == ("a.parquet", "not Parquet, or the file is cut")
    assert skipped[1:] == [(f"b.parquet:{n}", "damaged row group") for n in range(101, 201)]


def test_a_parquet_file_without_the_column_between_two_with_it(tmp_path: Path) -> None:
    for name, column in (("a", "text"), ("b", "body"), ("c", "text")):
        pq.write_table(pa.table({column: TEXTS[:2]}), tmp_path / f"{name}.parquet")
    texts, skipped = outcome(reader("records", path=f"{tmp_path}/*.parquet"), tmp_path)
    assert texts == TEXTS[:2] * 2
    assert skipped == [(f"b.parquet:{number}", "no field 'text'") for number in (1, 2)]


def test_empty_files_of_every_format(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.ipynb", "Posts.xml"):
        (tmp_path / name).touch()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress(b""))
    assert outcome(reader("records", path=f"{tmp_path}/*.jsonl*"), tmp_path) == ([], [])
    assert outcome(reader("records", path=f"{tmp_path}/*.parquet"), tmp_path) == (
        [],
        [("a.parquet", "not Parquet, or the file is cut")],
    )
    assert outcome(reader("notebooks", path=f"{tmp_path}/*.ipynb"), tmp_path) == (
        [],
        [("a.ipynb", "not JSON")],
    )
    assert outcome(reader("stackexchange", path=f"{tmp_path}/Posts.xml"), tmp_path) == ([], [])
    assert outcome(reader("issues", path=f"{tmp_path}/a.jsonl"), tmp_path) == ([], [])


def test_notebooks_of_ten_thousand_cells_and_of_one_that_is_cut(tmp_path: Path) -> None:
    output = [{"output_type": "stream", "text": ["line\n"] * 10}]
    cell = {"cell_type": "code", "source": ["x = 1\n", "x"], "outputs": output}
    text = json.dumps({"cells": [cell] * 10_000, "nbformat": 4})
    (tmp_path / "a.ipynb").write_text(text)
    (tmp_path / "b.ipynb").write_text(text[:-100])
    (tmp_path / "c.ipynb").write_text(text)
    texts, skipped = outcome(reader("notebooks", path=f"{tmp_path}/*.ipynb"), tmp_path)
    part = "<jupyter_code>x = 1\nx<jupyter_output>" + "line\n" * 10
    assert texts == ["<jupyter_start>" + part * 10_000] * 2
    assert skipped == [("b.ipynb", "not JSON")]


def test_a_notebook_nested_deeper_than_the_parser_goes(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text('{"cells": ' + "[" * 1_000_000 + "]" * 1_000_000 + "}")
    assert outcome(reader("notebooks", path=f"{tmp_path}/*"), tmp_path) == (
        [],
        [("a.ipynb", "not JSON")],
    )


def test_a_file_that_is_not_utf8_between_two_good_ones(tmp_path: Path) -> None:
    for name, content in {"a.txt": b"a", "b.txt": "né".encode("latin-1"), "c.txt": b"c"}.items():
        (tmp_path / name).write_bytes(content)
    assert outcome(reader("folder", path=str(tmp_path)), tmp_path) == (
        ["a", "c"],
        [("b.txt", "not UTF-8")],
    )


def test_a_repository_with_broken_objects(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "code")
    repository.commit("One", {f"{name}.py": f"{name} = 1\n" for name in "abcdef"})
    repository.commit("Two", {"a.py": "a = 2\n"})
    repository.damage("HEAD:b.py")
    repository.object_file("HEAD:c.py").unlink()
    for name, content in (("d", b"blob 6\0d = 9\n"), ("e", b"blob 600000000000\0e = 1\n")):
        path = repository.object_file(f"HEAD:{name}.py")
        path.chmod(0o644)
        path.write_bytes(zlib.compress(content))
    texts, skipped = outcome(reader("git", path=f"{tmp_path}/code"), tmp_path)
    assert texts == ["a = 2\n", "f = 1\n"]
    head = repository.git("rev-parse", "HEAD")[:12]
    reasons = dict.fromkeys("bcd", "broken git object") | {"e": "larger than 64 MiB"}
    assert skipped == [(f"code@{head}:{name}.py", reason) for name, reason in reasons.items()]


BILLION_LAUGHS = '<!DOCTYPE p [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">'
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
QUADRATIC = f'<!DOCTYPE p [<!ENTITY a "{"x" * 100_000}">'


@pytest.mark.parametrize(("bomb", "name"), [(BILLION_LAUGHS, "j"), (QUADRATIC, "a")])
def test_entities_are_never_expanded(tmp_path: Path, bomb: str, name: str) -> None:
    good = '<row Id="{}" PostTypeId="1" Title="t" Body="b" />'
    body = f"&{name};" * 10_000
    evil = f'<row Id="2" PostTypeId="1" Title="t" Body="{body}" />'
    lines = [f"{bomb}]>", "<posts>", good.format(1), evil, f"{bomb}]><posts>{evil}</posts>"]
    (tmp_path / "Posts.xml").write_text("\n".join([*lines, good.format(3), "</posts>"]))
    made = reader("stackexchange", path=f"{tmp_path}/Posts.xml", requires_answers=False)
    texts, skipped = outcome(made, tmp_path)
    assert texts == ["Q: t\n\nb"] * 2
    assert skipped == [(f"Posts.xml:{line}", "not a row of XML") for line in (1, 4, 5)]


def test_an_archive_named_as_lines_is_damaged(tmp_path: Path) -> None:
    """A zip file is no format of any reader, so nothing in it is unpacked."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.jsonl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"0" * 10_000_000)
    texts, skipped = outcome(reader("records", path=f"{tmp_path}/a.jsonl"), tmp_path)
    assert not texts
    assert {reason for _, reason in skipped} <= {"not JSON", "not UTF-8"}
    assert skipped[0][0] == "a.jsonl:1"
