from pathlib import Path

import pytest

from codepretrain.data.document import Skipped
from codepretrain.data.readers import make_reader
from codepretrain.data.readers import reader as reader_module
from codepretrain.data.readers.parquet import RowGroups
from codepretrain.data.readers.reader import RawFile, chunks, read_utf8
from codepretrain.errors import UserError
from tests.data.readers.reading import reader
from tests.fixtures.raw_corpora import write_corpora
from tests.fixtures.raw_study import raw_study


def test_chunks() -> None:
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert chunks([], 2) == []


def test_text_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffné".encode())
    assert read_utf8(tmp_path / "a", "o") == "né"


def test_why_a_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"\xe9")
    assert read_utf8(tmp_path / "a", "o") == Skipped("o", "not UTF-8")
    assert read_utf8(tmp_path, "o") == Skipped("o", "not a regular file")
    missing = Skipped("o", "unreadable: No such file or directory")
    assert read_utf8(tmp_path / "b", "o") == missing

    def refuse(path: object) -> bytes:
        raise UserError(f"cannot read {path}") from PermissionError(13, "Permission denied")

    monkeypatch.setattr(reader_module, "read_bytes", refuse)
    assert read_utf8(tmp_path / "a", "o") == Skipped("o", "unreadable: Permission denied")


def test_the_files_of_a_shard_are_those_that_it_consists_of(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"text": "x"}\n')
    expected = [RawFile(str(tmp_path / name), name) for name in ("a.jsonl", "b.jsonl")]
    for name, path in (("jsonl", tmp_path / "*.jsonl"), ("folder", tmp_path)):
        made = reader(name, path=str(path))
        assert [file for shard in made.shards() for file in made.files(shard)] == expected
    made = reader("jsonl", path=str(tmp_path / "*"))
    assert made.files(RowGroups(expected[0], [0, 1], 1)) == expected[:1]
    assert made.files(expected) == expected
    with pytest.raises(NotImplementedError, match=r"JsonLines.files"):
        made.files("a.jsonl")


def test_all_files_are_those_of_the_shards_in_their_order(tmp_path: Path) -> None:
    """Also where the readers list them without opening any: else data would seem changed."""
    write_corpora(tmp_path)
    (tmp_path / "parsed_notebooks" / "z.ipynb").write_text("{}")  # read before the records
    readers = {name: make_reader(name, c) for name, c in raw_study(tmp_path).data.sources.items()}
    for name, made in readers.items():
        expected = dict.fromkeys(file for shard in made.shards() for file in made.files(shard))
        assert list(made.all_files()) == list(expected), name
    assert {file.name for file in readers["dolly"].all_files()} == {
        "dolly.jsonl",
        "excluded_prompts/excluded.jsonl",
    }
