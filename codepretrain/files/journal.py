"""Journals: append-only JSON lines that survive a kill and are never destroyed.

Locally it is one file. A line is handed to the operating system in one write, so a killed process
leaves whole lines; a power loss or a full disk at worst leaves a torn last line, which opening the
journal repairs. In an object store it is a folder of numbered parts (`journal_parts.py`). Reading
accepts either form anywhere, so a working directory may be copied from one storage to another.

Opening with `keeps` cuts the records that `keeps` rejects, as a resumed run does. They are appended
to a second journal, those of `metrics.jsonl` to `metrics.cut.jsonl`. It holds every record that was
cut, so it grows with the work that was repeated, not with the number of starts.

One process at a time has a journal open: the caller holds the folder (`lease.exclusive`).
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol, Self

from codepretrain.errors import DamageError
from codepretrain.files import journal_parts, storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.explain import explained, shown
from codepretrain.files.json_values import decode, encode
from codepretrain.files.storage import (
    MissingFileError,
    StrPath,
    is_local,
    read_bytes,
    remove_tree,
)

Fields = Mapping[str, type]


def read(path: StrPath, *, fields: Fields = MappingProxyType({})) -> list[dict[str, Any]]:
    """Returns the records of a journal, none if there is no such journal; changes nothing.

    Args:
      fields: what every record holds, by name and type; `object`: anything but null.

    Raises:
      UserError: a line other than a torn last one is damaged, or lacks a field.
    """
    return [record for _, record in parse_lines(_content(path), path, fields)]


def remove(path: StrPath) -> None:
    """Removes a journal, in either form, if there is one; no process may have it open."""
    storage.remove(path)
    remove_tree(journal_parts.folder(path))


class Journal:
    """A journal open for appending.

    Attributes:
      kept: the records that were in it and that `keeps` accepted, unless `remembers` is not set.
      num_kept: how many they are.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        keeps: Callable[[dict[str, Any]], bool] | None = None,
        fields: Fields = MappingProxyType({}),
        cut_note: Mapping[str, Any] = MappingProxyType({}),
        remembers: bool = True,
    ) -> None:
        """Keeps the accepted lines byte for byte, and repairs a torn end.

        Args:
          keeps: which records stay; the others are cut. By default all stay.
          fields: what every record holds, by name and type; `object`: anything but null.
          cut_note: written with each record that is cut, such as the step of a resume.
          remembers: hold the accepted records in `kept`: about 2 KB each, as long as it is open.

        Raises:
          UserError: a line other than a torn last one is damaged; or the journal cannot be written.
        """
        self.kept: list[dict[str, Any]] = []
        texts, cut = [], []
        for text, record in parse_lines(_content(path), path, fields):
            if keeps is not None and not keeps(record):
                cut.append(record)
                continue
            texts.append(text)
            if remembers:
                self.kept.append(record)
        if cut:
            keep_cut(path, cut, cut_note)
        self.num_kept = len(texts)
        whole = b"".join(text + b"\n" for text in texts)
        del texts
        self._lines: _Lines
        if is_local(path):
            self._lines = _LocalLines(path, whole)
        else:
            self._lines = journal_parts.Parts(path, whole)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one record. In an object store it may wait in memory until the next `sync`.

        Raises:
          UserError: the disk is full, or the store refuses.
        """
        self._lines.append((encode(record) + "\n").encode("utf-8"))

    def sync(self) -> None:
        """Makes every record durable, even through a power loss.

        Raises:
          UserError: it cannot be written, or another process has opened the journal since.
        """
        self._lines.sync()

    def close(self) -> None:
        """Syncs (in an object store) and closes the file."""
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lines(Protocol):
    """The storage of a journal's lines."""

    def append(self, line: bytes) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class _LocalLines:
    """One local file."""

    def __init__(self, path: StrPath, whole: bytes) -> None:
        self._path = path
        if not os.path.exists(path) or read_bytes(path) != whole:
            write_bytes(path, whole)
        if os.path.isdir(journal_parts.folder(path)):  # copied from an object store
            remove_tree(journal_parts.folder(path))
        with explained("write", path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def append(self, line: bytes) -> None:
        with explained("write", self._path):
            num_written = self._file.write(line)
            if num_written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        with explained("write", self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _content(path: StrPath) -> bytes:
    """Returns the bytes of a journal, in whichever form it is.

    One form follows the other only where a copied journal was opened again, and that step removes
    the older form last; so if both exist, the native one of this storage is complete.
    """
    readers = [read_bytes, journal_parts.read_parts]
    for reader in readers if is_local(path) else reversed(readers):
        try:
            return reader(path)
        except MissingFileError:
            continue
    return b""


def parse_lines(
    content: bytes, path: StrPath, fields: Fields, *, first: int = 1
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yields each line and its record, except for a torn last one.

    Args:
      path: of the journal, for messages. first: the number of the first line, likewise.

    Raises:
      DamageError: a line other than a torn last one is damaged, or lacks a field.
    """
    lines = content.split(b"\n")
    is_torn = lines[-1] != b""  # a whole journal ends with a newline
    for number, line in enumerate(lines, start=first):
        if not line:
            continue
        try:
            record = decode(line.decode("utf-8"))
            for name, kind in fields.items():
                value = record.get(name)
                if value is None or kind not in (object, type(value)):
                    raise ValueError(f"expected a field {name!r} of type {kind.__name__}")
        except ValueError as error:
            if is_torn and number == first + len(lines) - 1:
                break
            raise DamageError(
                f"{shown(path)} line {number} is damaged ({error}): remove that line, or move the "
                "file away to start a new one"
            ) from error
        yield line, record


def cut_path(path: StrPath) -> str:
    """Returns the journal of what was cut from a file: `metrics.cut.jsonl` of `metrics.jsonl`."""
    return f"{os.path.splitext(os.fspath(path))[0]}.cut.jsonl"


def keep_cut(
    path: StrPath,
    records: Sequence[Mapping[str, Any]],
    note: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Appends records to the journal of what was cut from a file, before they are removed from it.

    Each becomes {"cut_at": time (UTC), **note, "record": record}. Records that equal the newest
    ones there are not repeated: a run that crashes at the same place again and again makes the same
    records, and a kill may come before they are removed. A kill in between may repeat some.

    Raises:
      UserError: that journal is damaged, or cannot be written.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    with Journal(cut_path(path), fields={"record": dict}) as journal:
        newest = [encode(cut["record"]) for cut in journal.kept[-len(records) :]]
        if newest == [encode(record) for record in records]:
            return
        for record in records:
            journal.append({"cut_at": when, **note, "record": record})
        journal.sync()
