"""Journals: exact numbers, torn ends, what a kill leaves, and nothing destroyed."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import journal_parts, storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.journal import Journal, read


def steps(path: epath.Path) -> list[int]:
    return [record["step"] for record in read(path)]


def test_gives_back_the_very_numbers(folder: epath.Path) -> None:
    values = {"a": 0.1 + 0.2, "b": np.float32(0.1), "c": -math.inf, "d": 2**70, "e": "é\u2028\n"}
    with Journal(folder / "metrics.jsonl") as journal:
        journal.append({"step": 1, **values, "nan": math.nan})
    (record,) = read(folder / "metrics.jsonl")
    assert math.isnan(record.pop("nan"))
    assert record == {"step": 1, **values, "b": float(np.float32(0.1))}


def test_a_journal_that_does_not_exist_is_empty(folder: epath.Path) -> None:
    assert read(folder / "none.jsonl") == []


def test_appends_to_what_was_there(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    for step in range(3):
        with Journal(path) as journal:
            assert [record["step"] for record in journal.kept] == list(range(step))
            journal.append({"step": step})
    assert steps(path) == [0, 1, 2]
    assert not [name for name in storage.names(folder) if "until" in name]


def test_dropped_records_stay_in_a_file_beside(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    with Journal(path) as journal:
        for step in range(5):
            journal.append({"step": step})
    for _ in range(2):  # twice within a second: both are kept
        with Journal(path, keeps=lambda record: record["step"] <= 2) as journal:
            assert [record["step"] for record in journal.kept] == [0, 1, 2]
            journal.append({"step": 30})
    assert steps(path) == [0, 1, 2, 30]
    aside = [name for name in storage.names(folder) if ".until-" in name]
    assert all(re.fullmatch(r"metrics\.until-\d{8}T\d{6}Z(-2)?\.jsonl", name) for name in aside)
    assert sorted(steps(folder / name) for name in aside) == [[0, 1, 2, 3, 4], [0, 1, 2, 30]]


def test_a_torn_last_line_is_repaired(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    write_bytes(path, b'{"step": 1}\n{"step": 2}\n{"ste')
    assert steps(path) == [1, 2]
    with Journal(path) as journal:
        journal.append({"step": 3})
    assert steps(path) == [1, 2, 3]


@pytest.mark.parametrize("damage", [b"xx\n", b"[1]\n", b"null\n", b"\xff\n", b"[" * 5000 + b"\n"])
def test_a_damaged_line_is_named_and_nothing_is_written(folder: epath.Path, damage: bytes) -> None:
    path = folder / "metrics.jsonl"
    content = b'{"step": 1}\n' + damage + b'{"step": 3}\n'
    write_bytes(path, content)
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is damaged"):
        Journal(path, keeps=lambda record: False)
    assert storage.read_bytes(path) == content


def test_a_journal_survives_a_copy_to_the_other_kind_of_storage(
    tmp_path: Path, memory: epath.Path
) -> None:
    local = storage.parse(tmp_path / "metrics.jsonl")
    with Journal(local) as journal:
        journal.append({"step": 1})
    write_bytes(memory / "metrics.jsonl", storage.read_bytes(local))  # as `cp -r` does
    with Journal(memory / "metrics.jsonl") as journal:
        journal.append({"step": 2})
    assert steps(memory / "metrics.jsonl") == [1, 2]
    assert storage.names(memory) == ["metrics.jsonl.parts"]
    back = storage.parse(tmp_path / "back")
    for name, _ in storage.sizes_below(memory).items():
        write_bytes(back / name, storage.read_bytes(memory / name))
    assert steps(back / "metrics.jsonl") == [1, 2]
    with Journal(back / "metrics.jsonl") as journal:
        journal.append({"step": 3})
    assert steps(back / "metrics.jsonl") == [1, 2, 3]
    assert storage.names(back) == ["metrics.jsonl"]


def test_records_in_an_object_store_wait_for_a_sync(memory: epath.Path) -> None:
    path = memory / "metrics.jsonl"
    journal = Journal(path)
    journal.append({"step": 1})
    assert steps(path) == []
    journal.sync()
    assert steps(path) == [1]
    journal.append({"step": 2, "text": "x" * journal_parts.FLUSH_BYTES})
    assert steps(path) == [1, 2]


def test_many_parts_are_merged(memory: epath.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_parts, "_MAX_PARTS", 3)
    path = memory / "metrics.jsonl"
    with Journal(path) as journal:
        for step in range(10):
            journal.append({"step": step})
            journal.sync()
            assert steps(path) == list(range(step + 1))
            assert len(storage.names(journal_parts.folder(path))) <= 4
    assert len(storage.names(journal_parts.folder(path))) == 1


def test_of_two_writers_the_older_is_told(memory: epath.Path) -> None:
    path = memory / "metrics.jsonl"
    old, new = Journal(path), Journal(path)
    old.append({"step": 1})
    new.append({"step": 2})
    new.sync()
    with pytest.raises(UserError, match="opened by another process"):
        old.sync()
    new.close()
    assert steps(path) == [2]


def test_a_missing_part_is_named(memory: epath.Path) -> None:
    path = memory / "metrics.jsonl"
    journal = Journal(path)
    for step in range(3):
        journal.append({"step": step})
        journal.sync()
    storage.remove(journal_parts.folder(path) / "000001-00000002")
    with pytest.raises(UserError, match="part 000001-00000002 is missing"):
        read(path)
