"""What happened to a job: a journal per writer, merged in one order for every reader.

    events/conductor-000003.jsonl   {"event": "end", …, "time": UTC, "writer": …, "number": 7}
           keeper-….jsonl, host-….jsonl

Conductors are ordered by term. The first event of a term says how many events of each earlier term
it has read; later ones of those terms are ignored: they come from a conductor that had lost its
lease and did not know it. Other writers' events are placed by time, each writer's in its order.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from etils import epath

from codepretrain.errors import DamageError, UserError
from codepretrain.files import journal, storage
from codepretrain.files.explain import shown
from codepretrain.files.journal_tail import JournalTail

Event = dict[str, Any]
FIELDS = {"event": str, "time": str, "writer": str, "number": int}
_WRITER = re.compile(r"([a-z0-9][a-z0-9_.-]*)\.jsonl(\.parts)?")
_CONDUCTOR = re.compile(r"conductor-(\d{6,})")


def utc(seconds: float) -> str:
    """Returns a time as ISO text.

    >>> utc(0.5)
    '1970-01-01T00:00:00.500+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def seconds(time: str) -> float:
    """Returns the seconds of an ISO text; the inverse of `utc`, to the millisecond."""
    return datetime.fromisoformat(time).timestamp()


def conductor_name(term: int) -> str:
    """Returns the writer of a term's events."""
    return f"conductor-{term:06d}"


def term_of(writer: str) -> int | None:
    """Returns the term of a conductor, None for another writer."""
    match = _CONDUCTOR.fullmatch(writer)
    return int(match[1]) if match else None


class EventWriter:
    """Appends the events of one writer; one process at a time writes under one name."""

    def __init__(self, folder: epath.Path, writer: str) -> None:
        """Opens the journal, and continues its numbers."""
        assert _WRITER.fullmatch(f"{writer}.jsonl"), writer
        self.writer = writer
        self._journal = journal.Journal(folder / f"{writer}.jsonl", fields=FIELDS, remembers=False)
        self._number = self._journal.num_kept

    def append(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Adds events, each with `event` and `time`, and makes them durable."""
        num_before = self._number
        for event in events:
            self._number += 1
            self._journal.append({**event, "writer": self.writer, "number": self._number})
        if self._number > num_before:
            self._journal.sync()

    def close(self) -> None:
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_events(folder: epath.Path) -> list[Event]:
    """Returns the events of all writers that count, in order.

    Raises:
      UserError: a journal is damaged: not JSON, a gap in its numbers, or no time.
    """
    return EventReader(folder).read()


class EventReader:
    """The events of a job, for a process that reads them again and again: only what is new."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder
        self._tails: dict[str, JournalTail] = {}
        self._events: list[Event] = []
        self._is_stale = False  # there are records that `_events` lacks

    def read(self) -> list[Event]:
        """Returns the events so far, as `read_events` does; the same list if nothing is new."""
        for name in storage.names(self._folder):
            match = _WRITER.fullmatch(name)
            if not match or match[1].endswith(".cut"):
                continue
            path = self._folder / f"{match[1]}.jsonl"
            tail = self._tails.setdefault(match[1], JournalTail(path, fields=FIELDS))
            known, num_known = tail.records, len(tail.records)
            if tail.update():
                self._is_stale = True  # even if the next journal cannot be read now
                is_same = tail.records is known
                _check(tail.records, match[1], path, num_known if is_same else 0)
        if self._is_stale:
            self._events = merged({writer: tail.records for writer, tail in self._tails.items()})
            self._is_stale = False
        return self._events


def _check(events: list[Event], writer: str, path: epath.Path, num_checked: int) -> None:
    """Raises UserError if an event after the first `num_checked` is not what follows."""
    for number, event in enumerate(events[num_checked:], start=num_checked + 1):
        where = f"{shown(path)} line {number} is damaged"
        if (event["writer"], event["number"]) != (writer, number):
            raise DamageError(
                f"{where}: expected event {number} of {writer}, found event {event['number']} of "
                f"{event['writer']}; restore the file"
            )
        try:
            seconds(event["time"])
        except ValueError as error:
            raise DamageError(f"{where}: expected a time, found {event['time']!r}") from error


def merged(found: Mapping[str, list[Event]]) -> list[Event]:
    """Returns the events of several writers in order, without those that a later term ignores."""
    terms = [writer for writer in found if term_of(writer) is not None]
    conducted: list[Event] = []
    limits: dict[str, float] = dict.fromkeys(terms, float("inf"))
    for writer in sorted(terms, key=lambda name: (len(name), name), reverse=True):
        events = found[writer][: int(min(limits[writer], len(found[writer])))]
        if not events:
            continue
        conducted[:0] = events
        seen = events[0].get("seen")
        if not isinstance(seen, dict):
            raise UserError(f"events/{writer}.jsonl line 1 is damaged: expected the event term")
        for other in terms:
            limits[other] = min(limits[other], seen.get(other, 0))
    keyed = _keyed("", conducted)
    for writer in found.keys() - set(terms):
        keyed += _keyed(writer, found[writer])
    return [event for _, event in sorted(keyed, key=lambda pair: pair[0])]


def _keyed(writer: str, events: list[Event]) -> list[tuple[tuple[float, str, int], Event]]:
    """Returns events with keys that never decrease, whatever the writer's clock did."""
    keyed, latest = [], float("-inf")
    for index, event in enumerate(events):
        latest = max(latest, seconds(event["time"]))
        keyed.append(((latest, writer, index), event))
    return keyed


def counts(events: Iterable[Event]) -> dict[str, int]:
    """Returns how many events of each conductor are among those that count."""
    numbers: dict[str, int] = {}
    for event in events:
        if term_of(event["writer"]) is not None:
            numbers[event["writer"]] = max(numbers.get(event["writer"], 0), event["number"])
    return numbers
