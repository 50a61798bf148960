"""Reads what is added to a journal, again and again, while another process writes it."""

from types import MappingProxyType
from typing import Any

from etils import epath

from codepretrain.files import journal_parts, storage
from codepretrain.files.explain import shown
from codepretrain.files.journal import Fields, parse_lines
from codepretrain.files.storage import MissingFileError, StrPath, is_local

_TRIES = 10


class JournalTail:
    """The records of a journal so far; each `update` reads only what was added since the last one.

    A journal's whole lines never change: opening it again, and merging its parts, keep them byte
    for byte. So a number of bytes says what has been read, whatever the form.

    Attributes:
      records: the whole lines so far.
    """

    def __init__(self, path: StrPath, *, fields: Fields = MappingProxyType({})) -> None:
        self._path, self._fields = path, fields
        self._start_over()

    def update(self) -> bool:
        """Reads what was added, and returns whether there was anything.

        Raises:
          UserError: a line is damaged, or the journal cannot be read now.
        """
        try:
            added = self._added_to_file() if is_local(self._path) else self._added_to_parts()
        except MissingFileError:  # it has the other form, or its parts are being merged
            try:
                added = self._added_to_parts() if is_local(self._path) else self._added_to_file()
            except MissingFileError:
                return False
        whole, newline, _ = added.rpartition(b"\n")
        if not newline:
            return False
        lines = parse_lines(whole + newline, self._path, self._fields, first=len(self.records) + 1)
        found = [record for _, record in lines]
        self._num_bytes += len(whole) + 1
        self.records += found
        return True

    def _start_over(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._num_bytes = 0
        self._parts: list[str] = []

    def _added_to_file(self) -> bytes:
        return self._added(self._path)

    def _added_to_parts(self) -> bytes:
        """Raises MissingFileError if there are no parts."""
        for _ in range(_TRIES):
            parts = journal_parts.newest(self._path)
            if not parts:
                break
            try:
                return self._added_to_generation(parts)
            except MissingFileError:
                continue  # a new generation appeared, and the one that we read was removed
        raise MissingFileError(f"there is no file {shown(self._path)}")

    def _added_to_generation(self, parts: list[epath.Path]) -> bytes:
        names = [part.name for part in parts]
        is_known = bool(self._parts) and names[0] == self._parts[0]
        # The first part of a later generation begins with everything that was read before.
        first = b"" if is_known else self._added(parts[0])
        new = parts[len(self._parts) :] if is_known else parts[1:]
        added = first + b"".join(storage.read_bytes(part) for part in new)
        self._parts = names
        return added

    def _added(self, path: StrPath) -> bytes:
        size = storage.size(path)
        if size < self._num_bytes:  # another journal of the same name
            self._start_over()
        return storage.read_range(path, self._num_bytes, size)
