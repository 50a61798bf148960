"""Events: one order for every reader, numbers without gaps, and terms that end others."""

from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_text
from codepretrain.files.journal_tail import JournalTail
from codepretrain.launch.events import (
    Event,
    EventReader,
    EventWriter,
    conductor_name,
    counts,
    merged,
    read_events,
    seconds,
    utc,
)


def event(kind: str, time: float, **fields: Any) -> dict[str, Any]:
    return {"event": kind, "time": utc(time), **fields}


def numbered(writer: str, *events: dict[str, Any]) -> list[Event]:
    return [{**e, "writer": writer, "number": n} for n, e in enumerate(events, start=1)]


def kinds(events: list[Event]) -> list[str]:
    return [e["event"] for e in events]


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    if request.param == "local":
        return epath.Path(tmp_path / "events")
    return storage.parse(f"memory://bucket/{tmp_path.name}/events")


def test_what_was_read_is_not_lost_if_another_journal_fails(
    folder: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventWriter(folder, conductor_name(1)) as one, EventWriter(folder, "keeper-a") as two:
        one.append([event("term", 10, seen={})])
        two.append([event("y", 11)])
        reader = EventReader(folder)
        assert kinds(reader.read()) == ["term", "y"]
        one.append([event("z", 12)])
        update = JournalTail.update
        reached = []

        def fail_second(tail: JournalTail) -> bool:
            reached.append(tail)
            if len(reached) == 2:
                raise UserError("cannot read now")
            return update(tail)

        monkeypatch.setattr(JournalTail, "update", fail_second)
        with pytest.raises(UserError, match="cannot read now"):
            reader.read()
        assert kinds(reader.read()) == ["term", "y", "z"]


def test_readers_see_events_while_others_append(folder: epath.Path) -> None:
    with EventWriter(folder, conductor_name(1)) as one, EventWriter(folder, "keeper-a") as two:
        one.append([event("term", 10, seen={}), event("x", 11)])
        assert kinds(read_events(folder)) == ["term", "x"]
        two.append([event("y", 10.5)])
        one.append([event("z", 12)])
        assert kinds(read_events(folder)) == ["term", "y", "x", "z"]
    with EventWriter(folder, "keeper-a") as again:
        again.append([event("w", 9)])  # its clock was set back: its own order counts
    found = read_events(folder)
    assert kinds(found) == ["term", "y", "w", "x", "z"]
    assert [(e["writer"], e["number"]) for e in found if e["writer"] == "keeper-a"] == [
        ("keeper-a", 1),
        ("keeper-a", 2),
    ]


def test_what_a_term_has_not_seen_of_earlier_ones_does_not_count() -> None:
    found = {
        conductor_name(1): numbered(
            conductor_name(1), event("term", 0, seen={}), event("a", 1), event("late", 9)
        ),
        conductor_name(2): numbered(
            conductor_name(2), event("term", 5, seen={conductor_name(1): 2}), event("b", 6)
        ),
        conductor_name(3): numbered(
            conductor_name(3),
            event("term", 7, seen={conductor_name(1): 2, conductor_name(2): 2}),
            event("c", 8),
        ),
    }
    events = merged(found)
    assert kinds(events) == ["term", "a", "term", "b", "term", "c"]
    assert counts(events) == {conductor_name(n): 2 for n in (1, 2, 3)}


def test_a_term_that_the_next_one_has_not_seen_does_not_count_at_all() -> None:
    """Term 2 wrote its first event after term 3 had read: its `seen` limits nobody."""
    found = {
        conductor_name(1): numbered(conductor_name(1), event("term", 0, seen={}), event("a", 1)),
        conductor_name(2): numbered(
            conductor_name(2), event("term", 5, seen={conductor_name(1): 1}), event("b", 6)
        ),
        conductor_name(3): numbered(
            conductor_name(3), event("term", 7, seen={conductor_name(1): 2})
        ),
    }
    assert kinds(merged(found)) == ["term", "a", "term"]


def test_a_gap_in_the_numbers_is_named(tmp_path: Path) -> None:
    folder = epath.Path(tmp_path)
    with EventWriter(folder, "host-1") as writer:
        writer.append([event("a", 1), event("b", 2), event("c", 3)])
    path = folder / "host-1.jsonl"
    lines = path.read_text().splitlines()
    write_text(path, "\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(UserError, match="line 2 is damaged: expected event 2 of host-1, found eve"):
        read_events(folder)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    folder = epath.Path(tmp_path)
    with EventWriter(folder, "host-1") as writer:
        writer.append([event("a", 1), event("b", 2)])
    path = folder / "host-1.jsonl"
    write_text(path, path.read_text()[:-5])
    assert kinds(read_events(folder)) == ["a"]


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    folder = epath.Path(tmp_path)
    with EventWriter(folder, "host-1") as writer:
        writer.append([{"event": "a", "time": "yesterday"}])
    with pytest.raises(UserError, match="line 1 is damaged: expected a time, found 'yesterday'"):
        read_events(folder)


def test_times_are_exact_to_the_millisecond() -> None:
    assert seconds(utc(1_800_000_000.123)) == 1_800_000_000.123


def test_no_folder_is_no_events(tmp_path: Path) -> None:
    assert read_events(epath.Path(tmp_path / "none")) == []


def test_a_reader_returns_what_one_that_begins_anew_would(tmp_path: Path) -> None:
    """It reads only what is new; what later terms ignore is ignored all the same."""
    folder = storage.parse(tmp_path)
    reader = EventReader(folder)
    assert reader.read() == []
    old = EventWriter(folder, conductor_name(1))
    old.append([{"event": "term", "time": utc(1), "term": 1, "seen": {}}])
    old.append([{"event": "a", "time": utc(2)}])
    assert [event["event"] for event in reader.read()] == ["term", "a"]
    assert reader.read() is reader.read()
    with EventWriter(folder, conductor_name(2)) as new:
        new.append([{"event": "term", "time": utc(3), "term": 2, "seen": {"conductor-000001": 2}}])
        old.append([{"event": "late", "time": utc(4)}])
        with EventWriter(folder, "keeper-1") as keeper:
            keeper.append([{"event": "keeper", "time": utc(1.5)}])
        found = [event["event"] for event in reader.read()]
        assert found == ["term", "keeper", "a", "term"]
        assert reader.read() == read_events(folder)
    old.close()
