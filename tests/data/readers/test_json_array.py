import gzip
import json
from pathlib import Path

import pytest

from codepretrain.data.document import Skipped
from codepretrain.data.readers import json_array
from codepretrain.data.readers.json_array import NOT_JSON, TOO_LONG, read_values
from codepretrain.data.readers.lines import DAMAGED
from codepretrain.errors import UserError
from codepretrain.files import storage

VALUES = [{"n": 1}, {"text": "né []{}, \\", "in": [{}]}, {"n": 3}]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 1000])
@pytest.mark.parametrize("indent", [None, 2])
def test_values_do_not_depend_on_the_chunks(
    tmp_path: Path, chunk_bytes: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_BYTES", chunk_bytes)
    text = json.dumps(VALUES, ensure_ascii=False, indent=indent)
    expected = list(enumerate(VALUES, start=1))
    (tmp_path / "a.json").write_text(text)
    assert list(read_values(tmp_path / "a.json")) == expected
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    assert list(read_values(tmp_path / "a.json.gz")) == expected
    (tmp_path / "pages.json").write_text(
        "[" + json.dumps(VALUES[0]) + "]\n" + json.dumps(VALUES[1:])
    )
    assert list(read_values(tmp_path / "pages.json")) == expected


@pytest.mark.parametrize(
    ("content", "num_read", "reason"),
    [
        (b"", 0, None),
        (b"[]", 0, None),
        (b'[{"n": 1}, {"n": ', 1, NOT_JSON),
        (b"[" * 100_000 + b"{", 0, NOT_JSON),
        (b'[{"n": 1}, {"n": ' + b"[" * 100_000, 1, NOT_JSON),
    ],
)
def test_what_precedes_damage_is_read(
    tmp_path: Path, content: bytes, num_read: int, reason: str | None
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    found = list(read_values(path))
    assert [value for _, value in found[:num_read]] == VALUES[:num_read]
    last = (num_read + 1, Skipped(f"{path}:{num_read + 1}", reason or ""))
    assert found[num_read:] == ([last] if reason else [])


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000])
def test_what_follows_a_value_that_is_no_object_is_read(
    tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"n": 1}, null, 12.5e3, "[{", {"n": "\xff"}, true, {"n": 3}] 7')
    no_object = [(n, Skipped(f"{path}:{n}", "not a JSON object")) for n in (2, 3, 4, 6, 8)]
    assert list(read_values(path)) == [
        (1, {"n": 1}),
        *no_object[:3],
        (5, Skipped(f"{path}:5", "not UTF-8")),
        no_object[3],
        (7, {"n": 3}),
        no_object[4],
    ]


def test_damaged_compression_and_endless_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps(VALUES).encode())[:-9])
    assert list(read_values(path))[-1][1].reason == DAMAGED
    monkeypatch.setattr(json_array, "MAX_VALUE_CHARS", 100)
    monkeypatch.setattr(storage, "CHUNK_BYTES", 50)
    path = tmp_path / "a.json"
    path.write_text('[{"n": 1}, {"text": "' + "x" * 1000)
    assert list(read_values(path)) == [(1, {"n": 1}), (2, Skipped(f"{path}:2", TOO_LONG))]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no file {tmp_path}/a"):
        list(read_values(tmp_path / "a.json"))
