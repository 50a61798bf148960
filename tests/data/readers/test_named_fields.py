import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codepretrain.errors import UserError
from tests.data.readers.reading import reader

ROWS = [{"text": "x", "url": None}, {"text": "y", "url": "a.org", "repo": "o/n", "key": 1}]


@pytest.fixture(params=["jsonl", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"a.{request.param}"
    if request.param == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS[::-1]), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("option", ["page_field", "repository_field", "group_field"])
def test_a_misspelled_field_of_groups_is_told_before_anything_is_read(
    path: Path, option: str
) -> None:
    made = reader("records", path=str(path), **{option: "ulr"})
    message = rf"'records': {path}.* has no field 'ulr'.*: .*\burl; set the option {option}$"
    with pytest.raises(UserError, match=message):
        made.shards()
    assert list(made.all_files())


def test_a_field_that_some_records_have_is_enough(path: Path) -> None:
    assert reader("records", path=str(path), repository_field="repo").shards()
    assert reader("records", path=str(path), page_field="absent", repository_field="repo").shards()
    both = {"page_field": "ulr", "group_field": "keys"}
    with pytest.raises(UserError, match=r"no field 'ulr' or 'keys'.*page_field or group_field$"):
        reader("records", path=str(path), **both).shards()


def test_json_lines_are_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    message = r"line 1 has no field 'kye'.*; set the option group_field$"
    with pytest.raises(UserError, match=message):
        reader("jsonl", path=str(path), group_field="kye").shards()
    assert reader("jsonl", path=str(path), group_field="key").shards()


def test_files_without_records_are_not_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\nnot JSON\n[1]\n")
    (tmp_path / "a.parquet").write_text("not Parquet")
    for name in ("a.jsonl", "a.parquet"):
        assert reader("records", path=str(tmp_path / name), group_field="g").shards()
