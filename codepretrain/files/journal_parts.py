"""A journal's parts in an object store, where nothing can be appended to.

    metrics.jsonl.parts/000003-00000000     generation 3: the lines kept when it was opened
                        000003-00000001     lines appended since, a part at each flush

Readers take the highest generation and its parts in order. A generation appears whole, as one
object that holds all lines so far; older ones are removed afterwards. So a kill at any moment
leaves either the old generation or the new one. Each opening begins a generation, and each part is
created, never replaced: a process that lost its hold cannot write into the journal of the next.
"""

import os
import time

from etils import epath

from codepretrain.errors import DamageError, PassingError, UserError
from codepretrain.files.atomic import create
from codepretrain.files.explain import shown
from codepretrain.files.storage import MissingFileError, StrPath, names, read_bytes, remove

FLUSH_BYTES = 2**20
FLUSH_S = 60.0
_MAX_PARTS = 100  # then they are merged, which takes one write of everything


def folder(path: StrPath) -> epath.Path:
    """Returns the folder that holds a journal's parts."""
    return epath.Path(f"{os.fspath(path)}.parts")


def read_parts(path: StrPath) -> bytes:
    """Returns the lines of a journal. Raises MissingFileError if it has no parts."""
    for _ in range(10):
        parts = newest(path)
        if not parts:
            break
        try:
            return b"".join(read_bytes(part) for part in parts)
        except MissingFileError:
            continue  # a new generation appeared, and the one that we read was removed
    raise MissingFileError(f"there is no file {shown(path)}")


class Parts:
    """Appends to a journal in an object store."""

    def __init__(self, path: StrPath, whole: bytes) -> None:
        """Begins a generation with the lines `whole`."""
        self._path = path
        self._buffer = bytearray()
        self._begin(whole, max(_generations(path), default=0) + 1)
        remove(path)  # of a journal that was copied here as one file

    def append(self, line: bytes) -> None:
        self._buffer += line
        if len(self._buffer) >= FLUSH_BYTES or time.monotonic() - self._flushed_s >= FLUSH_S:
            self._flush()

    def sync(self) -> None:
        self._flush()
        if max(_generations(self._path), default=0) != self._generation:
            raise self._lost()
        if self._next_part > _MAX_PARTS:
            self._merge()

    def close(self) -> None:
        self.sync()
        if self._next_part > 1:
            self._merge()

    def _flush(self) -> None:
        if self._buffer:
            self._create(self._next_part, bytes(self._buffer))
            self._next_part += 1
            self._buffer.clear()
        self._flushed_s = time.monotonic()

    def _merge(self) -> None:
        """Fails where another process has begun the next generation."""
        self._begin(read_parts(self._path), self._generation + 1)

    def _begin(self, whole: bytes, generation: int) -> None:
        self._generation = generation
        self._create(0, whole)
        self._next_part = 1
        self._flushed_s = time.monotonic()
        for name in names(folder(self._path)):
            if _number(name) and int(name[:6]) < self._generation:
                remove(folder(self._path) / name)

    def _create(self, part: int, content: bytes) -> None:
        if not create(folder(self._path) / f"{self._generation:06d}-{part:08d}", content):
            raise self._lost()

    def _lost(self) -> UserError:
        return PassingError(
            f"{shown(self._path)} was opened by another process while this one wrote to it: stop "
            "one of them and rerun the same command"
        )


def newest(path: StrPath) -> list[epath.Path]:
    """Returns the parts of the newest generation, in order; none if there are no parts."""
    there = [name for name in names(folder(path)) if _number(name)]
    newest = [name for name in there if name[:6] == max(there)[:6]]
    for number, name in enumerate(newest):
        if int(name[7:]) != number:
            raise DamageError(
                f"{shown(folder(path))} is damaged: part {newest[0][:7]}{number:08d} is missing; "
                "restore it, or move the folder away to start a new journal"
            )
    return [folder(path) / name for name in newest]


def _generations(path: StrPath) -> list[int]:
    return [int(name[:6]) for name in names(folder(path)) if _number(name)]


def _number(name: str) -> bool:
    """Returns whether a name is that of a part."""
    return len(name) == 15 and name[6] == "-" and (name[:6] + name[7:]).isdigit()
