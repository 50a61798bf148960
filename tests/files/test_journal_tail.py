"""Reading what is added to a journal: each byte once, whatever becomes of the journal."""

from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import DamageError
from codepretrain.files import journal_parts, storage
from codepretrain.files.journal import Journal
from codepretrain.files.journal_tail import JournalTail
from tests.fixtures.object_stores import memory

__all__ = ["memory"]


@pytest.fixture(params=["local", "store"])
def path(request: pytest.FixtureRequest, tmp_path: Path, memory: epath.Path) -> epath.Path:
    folder = storage.parse(tmp_path) if request.param == "local" else memory
    return folder / "events.jsonl"


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of bytes of each read."""
    found: list[int] = []
    for name in ("read_range", "read_bytes"):

        def counted(*args, read=getattr(storage, name)):
            content = read(*args)
            found.append(len(content))
            return content

        monkeypatch.setattr(storage, name, counted)
    return found


def add(journal: Journal, *numbers: int) -> None:
    for number in numbers:
        journal.append({"number": number})
    journal.sync()


def numbers(tail: JournalTail) -> list[int]:
    return [record["number"] for record in tail.records]


def test_each_byte_is_read_once(
    path: epath.Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_parts, "_MAX_PARTS", 4)  # parts are merged on the way
    tail = JournalTail(path)
    assert not tail.update()
    with Journal(path) as journal:
        for number in range(1000):
            add(journal, number)
            sizes.clear()
            assert tail.update()
            assert sum(sizes) < 30
            assert not tail.update()
    assert numbers(tail) == list(range(1000))
    with Journal(path) as journal:  # another process goes on with it
        add(journal, 1000, 1001)
        sizes.clear()
        assert tail.update()
        assert sum(sizes) < 60
    assert numbers(tail) == list(range(1002))


def test_a_line_that_is_not_whole_waits(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = JournalTail(path)
    path.write_bytes(b'{"number": 0}\n{"num')
    assert tail.update()
    assert not tail.update()
    with path.open("ab") as file:
        file.write(b'ber": 1}\n')
    assert tail.update()
    assert numbers(tail) == [0, 1]


def test_a_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = JournalTail(path, fields={"number": int})
    path.write_bytes(b'{"number": 0}\n{"number": 1}\n')
    assert tail.update()
    with path.open("ab") as file:
        file.write(b'{"number": "two"}\n')
    for _ in range(2):
        with pytest.raises(DamageError, match=r"line 3 is damaged .*'number' of type int"):
            tail.update()


def test_a_shorter_journal_is_another_one(path: epath.Path) -> None:
    tail = JournalTail(path)
    with Journal(path) as journal:
        add(journal, 1, 2, 3)
    assert tail.update()
    with Journal(path, keeps=lambda record: record["number"] == 2) as journal:
        assert tail.update()
    assert numbers(tail) == [2]


def test_parts_that_are_replaced_while_they_are_read(
    memory: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = memory / "events.jsonl"
    tail = JournalTail(path)
    newest = journal_parts.newest
    with Journal(path) as journal:
        add(journal, 1)
        add(journal, 2)

        def listed(*args):
            parts = newest(*args)
            monkeypatch.setattr(journal_parts, "newest", newest)
            journal.close()  # which merges them
            return parts

        monkeypatch.setattr(journal_parts, "newest", listed)
        assert tail.update()
    assert numbers(tail) == [1, 2]
