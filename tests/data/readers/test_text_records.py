import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.errors import UserError
from tests.data.readers.reading import read, reader

ROWS = [
    {"body": "a proof", "url": "https://www.a.org/p/", "repo": "o/n", "lang": "en", "n": 7},
    {"body": "code", "url": None, "repo": "o/n", "lang": None, "n": 8},
    {"body": "neither", "url": None, "repo": None, "lang": None, "n": 9},
]


def test_fields_are_named_by_options(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    options = {
        "text_field": "body",
        "page_field": "url",
        "repository_field": "repo",
        "group_field": "n",
        "language_field": "lang",
    }
    documents, skipped = read(reader("records", path=f"{tmp_path}/*", **options))
    assert not skipped
    found = [(d.text, d.group, d.language) for d in documents]
    assert found[:3] == [
        ("a proof", "page:a.org/p", "en"),
        ("code", "repository:github.com/o/n", None),
        ("neither", "9", None),
    ]
    assert found[3:] == found[:3]
    assert documents[0].origin == "a.parquet:1"
    assert documents[4].origin == documents[4].id == "b.jsonl:2"


def test_records_without_the_text_field_are_counted(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"text": "x"}]), tmp_path / "a.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "b.parquet")
    documents, skipped = read(reader("records", path=f"{tmp_path}/*"))
    assert len(documents) == 1
    assert [s.reason for s in skipped] == ["no field 'text'"] * 3


def test_a_misspelled_text_field_is_told_before_anything_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"has no field 'text'; .* set the option text_field$"):
        reader("records", path=f"{tmp_path}/*").shards()
