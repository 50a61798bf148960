"""Every form of a benchmark's file gives the same records; a damaged one is named."""

import gzip
import json
import sys
from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.evals.programs.records import read_records, text_field, text_list_field
from codepretrain.files.atomic import write_bytes
from tests.evals.programs.conftest import MBPP

LINES = "".join(json.dumps(record) + "\n" for record in MBPP).encode()


def write_parquet(path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.Table.from_pylist(MBPP), path)


def test_all_forms_give_the_same_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "c.json").write_text(json.dumps(MBPP, indent=2))
    (tmp_path / "d.jsonl").write_bytes(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n") + b"\n\n")
    write_parquet(tmp_path / "e.parquet")
    for path in tmp_path.iterdir():
        assert read_records(str(path), path="x") == MBPP, path


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "prompt.jsonl").write_bytes(LINES.splitlines(keepends=True)[0])
    (tmp_path / "test.jsonl").write_bytes(b"".join(LINES.splitlines(keepends=True)[1:]))
    (tmp_path / "README.md").write_text("no records")
    assert read_records(str(tmp_path), path="x") == MBPP


def test_files_in_an_object_store(gcs: epath.Path) -> None:
    write_bytes(gcs / "mbpp.jsonl.gz", gzip.compress(LINES))
    assert read_records(str(gcs / "mbpp.jsonl.gz"), path="x") == MBPP
    assert read_records(str(gcs), path="x") == MBPP
    with pytest.raises(UserError, match="there is no file or folder"):
        read_records(str(gcs / "none.jsonl"), path="x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES[:-20], r"line 7: .*damaged or of an unknown form|damaged.*line 7"),
        (b"[1, 2]", "record 1 is no object"),
        (b'[{"a": 1}', "the array: "),
        (b"", "has no records"),
        (b"\xff\xfe", "codec can't decode"),
        (gzip.compress(LINES)[:-30], "gzip: "),
        (b"PAR1 and no more", "Parquet: "),
        (b"[" * 100_000, "the array: "),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_records(str(path), path="config.evals.x.options.data")
    assert str(caught.value).startswith("config.evals.x.options.data: ")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x: there is no file or folder .*nowhere"):
        read_records(str(tmp_path / "nowhere"), path="x")
    with pytest.raises(UserError, match=r"x: the folder .* has no file \.jsonl"):
        read_records(str(tmp_path), path="x")
    with pytest.raises(UserError, match=r"x hf://a: expected .*gs:// or s3://"):
        read_records("hf://a", path="x")


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"`pyarrow` is not installed.*codepretrain\[eval\]"):
        read_records(str(tmp_path / "a.parquet"), path="x")


def test_fields_are_checked() -> None:
    assert text_field({"prompt": "p"}, "text", "prompt") == "p"
    assert text_list_field({}, "tests") == []
    with pytest.raises(ValueError, match="no text in text or prompt"):
        text_field({"text": 5}, "text", "prompt")
    with pytest.raises(ValueError, match="tests is no list of texts"):
        text_list_field({"tests": [1]}, "tests")
