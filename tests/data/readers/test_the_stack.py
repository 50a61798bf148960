"""The Stack's files, and what every reader of Parquet files does with damaged ones."""

import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.data.filters.spdx import is_permitted
from codepretrain.data.readers import parquet
from codepretrain.data.readers.parquet import DAMAGED, NOT_PARQUET
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader


def file(content: str, lang: str = "Python", name: str = "Owner/Name", **more) -> dict:
    return {
        "hexsha": "0" * 40,
        "size": len(content),
        "lang": lang,
        "max_stars_repo_path": f"src/{content[:3]}",
        "max_stars_repo_name": name,
        "max_stars_repo_licenses": ["MIT", "Apache-2.0"],
        "content": content,
        "max_stars_count": 12,
        **more,
    }


def write(path: Path, rows: list[dict], **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)


def stack(folder: Path | str, **options: str):
    return reader("the_stack", path=f"{folder}/data/*/*.parquet", **options)


def test_files_with_repository_language_and_licenses(tmp_path: Path) -> None:
    write(tmp_path / "data/a/0.parquet", [file("one"), file("two", "C#", "o/n")])
    write(tmp_path / "data/b/0.parquet", [file("# three", "Markdown")])
    documents, skipped = read(stack(tmp_path, languages="web_code"))
    assert [(s.origin, s.reason) for s in skipped] == [
        (f"{tmp_path}/data/b/0.parquet:1", "language is not chosen")
    ]
    one, two = documents
    assert (one.id, one.text, one.language) == ("a/0.parquet:1", "one", "python")
    assert one.group == "repository:github.com/owner/name"
    assert one.origin == "a/0.parquet:1"
    assert one.metadata == {"repository": "Owner/Name", "path": "src/one", "stars": "12"}
    assert one.license == "MIT AND Apache-2.0"
    assert is_permitted(one.license, ("mit", "apache-2.0").__contains__)
    assert not is_permitted(one.license, ("mit",).__contains__)
    assert (two.language, two.group) == ("c-sharp", "repository:github.com/o/n")
    documents, _ = read(stack(tmp_path, languages="markup"))
    assert [document.language for document in documents] == ["markdown"]


def test_text_in_a_column_of_bytes(tmp_path: Path) -> None:
    """Writers that do not know of Parquet's text type store it so."""
    rows: list[dict] = [
        {"content": "né".encode(), "lang": b"Python"},
        {"content": b"\xff", "lang": None},
    ]
    write(tmp_path / "data/a/0.parquet", rows)
    [document], skipped = read(stack(tmp_path))
    assert (document.text, document.language) == ("né", "python")
    assert [s.reason for s in skipped] == ["not UTF-8"]


def test_values_that_are_blank_or_missing_are_no_provenance(tmp_path: Path) -> None:
    more = {"max_stars_repo_licenses": [None, " "], "max_stars_repo_path": " "}
    write(tmp_path / "data/a/0.parquet", [file("x", "Python", " ", **more)])
    [document] = read(stack(tmp_path))[0]
    assert (document.group, document.license) == (None, None)
    assert document.metadata == {"stars": "12"}


def test_the_folder_is_the_language_of_files_that_state_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"content": "x", "max_stars_repo_name": None, "id": "1"}]
    write(tmp_path / "data/c-sharp/0.parquet", rows)
    [document] = read(stack(tmp_path, languages="c-sharp"))[0]
    assert (document.language, document.license, document.group) == ("c-sharp", None, None)
    lines = tmp_path / "data/c-sharp/0.jsonl"
    lines.write_text(json.dumps(file("y", "")))
    monkeypatch.chdir(lines.parent)
    assert read(reader("the_stack", path="0.jsonl"))[0][0].language == "c-sharp"
    [document] = read(reader("the_stack", path=str(lines)))[0]
    assert (document.text, document.language) == ("y", "c-sharp")


def test_row_groups_are_shards_and_their_rows_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [file(f"text {number}") for number in range(500)]
    write(tmp_path / "data/a/0.parquet", rows, row_group_size=150)
    whole = read(stack(tmp_path))
    assert [document.text for document in whole[0]] == [row["content"] for row in rows]
    monkeypatch.setattr(parquet, "_BYTES_PER_SHARD", 1)
    assert len(stack(tmp_path).shards()) == 4
    assert read(stack(tmp_path)) == whole
    assert whole[0][-1].id == "a/0.parquet:500"


def test_an_object_store(tmp_path: Path) -> None:
    write(tmp_path / "data/a/0.parquet", [file("one")])
    store = fsspec.filesystem("memory")
    content = (tmp_path / "data/a/0.parquet").read_bytes()
    store.pipe_file("/stack/data/a/0.parquet", content)
    assert read(stack("memory://stack")) == read(stack(tmp_path))
    store.rm("/stack", recursive=True)


def test_damaged_files_and_rows_are_counted(tmp_path: Path) -> None:
    rows = [file(f"{number}" * 400) for number in range(6)]
    path = tmp_path / "data/a/0.parquet"
    write(path, rows, row_group_size=2, compression="zstd", use_dictionary=False)
    whole = path.read_bytes()
    (tmp_path / "data/a/1.parquet").write_bytes(whole[:-9])
    (tmp_path / "data/a/2.parquet").touch()
    (tmp_path / "data/a/3.parquet").write_bytes(b"PAR1" + b"\xff" * 99 + b"PAR1")
    column = pq.ParquetFile(path).metadata.row_group(1).column(6)
    assert column.path_in_schema == "content"
    start, size = column.data_page_offset, column.total_compressed_size
    path.write_bytes(whole[:start] + b"\xff" * size + whole[start + size :])
    documents, skipped = read(stack(tmp_path))
    assert [document.text[0] for document in documents] == ["0", "1", "4", "5"]
    assert [(s.origin.rpartition("/")[2], s.reason) for s in skipped] == [
        ("0.parquet:3", DAMAGED),
        ("0.parquet:4", DAMAGED),
        ("1.parquet", NOT_PARQUET),
        ("2.parquet", NOT_PARQUET),
        ("3.parquet", NOT_PARQUET),
    ]


def test_missing_columns_and_values_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path / "data/a/0.parquet", [{"code": "x"}, {"code": "y"}])
    write(tmp_path / "data/a/1.parquet", [{"content": 7}])
    strings = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\4\0\0\0\5\0\0\0"), pa.py_buffer(b"good\xff")]
    )
    pq.write_table(pa.table({"content": strings}), tmp_path / "data/a/2.parquet")
    documents, skipped = read(stack(tmp_path))
    assert [(d.id, d.text) for d in documents] == [("a/2.parquet:1", "good")]
    assert [(s.origin.rpartition("/")[2], s.reason) for s in skipped] == [
        ("0.parquet:1", "no field 'content'"),
        ("0.parquet:2", "no field 'content'"),
        ("1.parquet:1", "field 'content' is not text"),
        ("2.parquet:2", "not UTF-8"),
    ]


def test_a_misspelled_language_is_told_before_anything_is_read(tmp_path: Path) -> None:
    write(tmp_path / "data/a/0.parquet", [file("one")])
    with pytest.raises(UserError, match=r"reader 'the_stack': languages: there is no 'pyton'"):
        stack(tmp_path, languages="pyton").shards()


def test_a_footer_that_is_not_utf8_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "data/a/0.parquet"
    write(path, [file("one")], store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"max_stars_repo_name", b"max_stars_repo_\xffame"))
    documents, skipped = read(stack(tmp_path))
    assert not documents
    assert [(s.origin, s.reason) for s in skipped] == [(str(path), NOT_PARQUET)]
