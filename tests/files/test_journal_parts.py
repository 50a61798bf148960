"""The parts of a journal in an object store."""

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import journal_parts, storage
from codepretrain.files.journal import Journal, read


def steps(path: epath.Path) -> list[int]:
    return [record["step"] for record in read(path)]


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
