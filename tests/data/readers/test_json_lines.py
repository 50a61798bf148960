import gzip
import json
import random
from pathlib import Path

import pytest

from codepretrain.data.readers import lines
from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader


def test_json_lines(tmp_path) -> None:
    lines = [
        {"body": "first", "name": 7, "lang": "en"},
        {"text": "in another field"},
        {"body": "né\n", "name": None},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "\n{broken\n[1]\n"
    (tmp_path / "b.jsonl").write_text(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"body": "zipped"}'))
    made = reader(
        "jsonl",
        path=str(tmp_path / "*.jsonl*"),
        text_field="body",
        id_field="name",
        language_field="lang",
    )
    documents, skipped = read(made)
    assert [(d.id, d.text, d.language) for d in documents] == [
        ("a.jsonl.gz:1", "zipped", None),
        ("7", "first", "en"),
        ("b.jsonl:3", "né\n", None),
    ]
    assert [(s.origin, s.reason) for s in skipped] == [
        (f"{tmp_path}/b.jsonl:2", "no field 'body'"),
        (f"{tmp_path}/b.jsonl:5", "not JSON"),
        (f"{tmp_path}/b.jsonl:6", "not a JSON object"),
    ]


@pytest.mark.parametrize("pattern", ["*/part.jsonl", "**/part.jsonl", "[ab]/part.jsonl"])
def test_documents_of_files_with_one_name_have_different_ids(
    tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.jsonl").write_text(json.dumps({"text": folder}) + "\n")
    documents, _ = read(reader("jsonl", path=str(tmp_path / pattern)))
    assert [d.id for d in documents] == ["a/part.jsonl:1", "b/part.jsonl:1"]
    assert [d.origin for d in documents] == ["a/part.jsonl:1", "b/part.jsonl:1"]
    monkeypatch.chdir(tmp_path)
    assert read(reader("jsonl", path=pattern))[0] == documents
    assert read(reader("jsonl", path="a/part.jsonl"))[0][0].id == "part.jsonl:1"


def test_the_group_is_a_field(tmp_path: Path) -> None:
    lines: list[dict] = [
        {"page": "p"},
        {},
        {"page": ""},
        {"page": " "},
        {"page": None},
        {"page": 7},
    ]
    text = "".join(json.dumps({"text": "x", **line}) + "\n" for line in lines)
    (tmp_path / "a.jsonl").write_text(text)
    documents, _ = read(reader("jsonl", path=str(tmp_path / "*"), group_field="page"))
    assert [document.group for document in documents] == ["p", None, None, None, None, "7"]


def test_fields_that_are_kept_as_metadata(tmp_path: Path) -> None:
    line = {"text": "x", "url": "u", "score": 0.5, "license": ["MIT", "ISC"], "other": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    options = {"metadata_fields": "url, score, absent", "license_field": "license"}
    for name in ("jsonl", "records"):
        [document] = read(reader(name, path=str(tmp_path / "*"), **options))[0]
        assert document.metadata == {"url": "u", "score": "0.5"}
        assert document.license == "MIT AND ISC"


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "x"}\n{"text": "y"}\n')
    documents, skipped = read(reader("jsonl", path=str(tmp_path / "a.jsonl")))
    assert [d.text for d in documents] == ["x", "y"]
    assert not skipped


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file matches path '.*absent'"):
        reader("jsonl", path=str(tmp_path / "absent")).shards()


def test_the_lines_before_damaged_compression_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    texts = [random.Random(number).randbytes(50).hex() for number in range(999)]
    whole = gzip.compress("".join(f'{{"text": "{text}"}}\n' for text in texts).encode())
    path.write_bytes(whole[: len(whole) // 2])
    documents, skipped = read(reader("jsonl", path=str(path)))
    assert 450 < len(documents) < 550
    assert [document.text for document in documents] == texts[: len(documents)]
    place = f"{path}:{len(documents) + 1}"
    assert [(s.origin, s.reason) for s in skipped] == [(place, lines.DAMAGED)]
    path.write_bytes(b"not gzip")
    documents, skipped = read(reader("jsonl", path=str(path)))
    assert (documents, [s.origin for s in skipped]) == ([], [f"{path}:1"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'{"text": 1', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 9999, "not JSON"),
        (b"null", "not a JSON object"),
        (b'{"body": "x"}', "no field 'text'"),
        (b'{"text": null}', "field 'text' is not text"),
        (b'{"text": ["x"]}', "field 'text' is not text"),
    ],
)
def test_a_line_that_gives_no_document_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "first"}\n\n' + line + b'\n{"text": "last"}')
    documents, skipped = read(reader("jsonl", path=str(path)))
    assert [document.id for document in documents] == ["a.jsonl:1", "a.jsonl:4"]
    assert [(s.origin, s.reason) for s in skipped] == [(f"{path}:3", reason)]


def test_a_misspelled_text_field_is_told_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\nnot JSON\n{"body": "x", "id": 1}\n[1]\n{"body": "y"}\n')
    message = rf"{path} line 3 has no field 'text', nor has any .*; its fields are: body, id; set"
    with pytest.raises(UserError, match=message):
        reader("jsonl", path=str(path)).shards()
    assert reader("jsonl", path=str(path), text_field="body").shards() == [
        RawFile(str(path), "a.jsonl")
    ]


def test_loops_of_links_are_not_followed_and_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "a" / "one").symlink_to(tmp_path)
    (tmp_path / "a" / "two").symlink_to(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    made = reader("jsonl", path=str(tmp_path / "**" / "*.jsonl"))
    assert made.shards() == [RawFile(str(tmp_path / "a" / "x.jsonl"), "a/x.jsonl")]


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.jsonl.gz").touch()
    assert read(reader("jsonl", path=str(tmp_path / "*"))) == ([], [])
