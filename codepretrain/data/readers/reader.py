"""The reader interface: a dataclass of options, shards in a fixed order, documents of a shard.

Shards are handed to worker processes, so they are small, picklable, and do not depend on the number
of workers. Size limits are the same for all readers and are applied to what they yield
(`codepretrain.data.reading.read_part`).
"""

import abc
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from codepretrain.data.document import Document, Skipped
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath, read_bytes

FILES_PER_SHARD = 64
MAX_FILE_BYTES = 2**26  # a file that is one document is held in memory several times
TOO_LARGE = "larger than 64 MiB"

T = TypeVar("T")


class MissingCorpusError(UserError):
    """There is nothing at the place where the options say that the corpus is."""


@dataclass(frozen=True)
class RawFile:
    """A file that documents are read from.

    name: identifies it within the corpus, wherever the corpus is: relative to the folder in which a
    glob's wildcards begin. version: the reader's own statement of the contents, such as a commit or
    a package's version; None if the contents of `path` are compared.
    """

    path: str
    name: str
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reader(abc.ABC):
    """Options of every reader, in UTF-8 bytes.

    The first documents are used whose texts, duplicates included, together reach `max_bytes`.
    Documents below `min_document_bytes` or above `max_document_bytes` are skipped, and counted. A
    source is refused if more than `max_damaged_share` of its raw records are damaged
    (`readers/damage.py`).
    """

    max_bytes: int | None = None
    min_document_bytes: int = 1
    max_document_bytes: int | None = None
    max_damaged_share: float = 0.5

    @abc.abstractmethod
    def shards(self) -> Sequence[Any]:
        """Returns the shards, always in the same order, without reading the texts.

        Raises:
          MissingCorpusError: there is none.
          UserError: the corpus cannot be read.
        """

    def files(self, shard: Any) -> Sequence[RawFile]:
        """Returns the raw files of one shard, in a fixed order; several shards may share a file.

        Readers whose shards are neither files, lists of files nor parts of one must override this.
        """
        if isinstance(shard, RawFile):
            return [shard]
        if isinstance(shard, list) and all(isinstance(file, RawFile) for file in shard):
            return shard
        file = getattr(shard, "file", None)
        if isinstance(file, RawFile):
            return [file]
        raise NotImplementedError(
            f"{type(self).__name__}.files: override it for shards of type {type(shard).__name__}"
        )

    def all_files(self) -> Iterator[RawFile]:
        """Yields the raw files of all shards, each once, in their order, with their versions.

        Readers that must open files to divide them into shards override this: names are enough to
        compare a corpus with what was read of it.

        Raises:
          MissingCorpusError: there is none.
          UserError: the corpus cannot be read.
        """
        return once(chain.from_iterable(map(self.files, self.shards())))

    def list_files(self) -> Sequence[RawFile]:
        """Returns the raw files, without opening them, and checks the options.

        Readers whose `shards` opens files override this: `plan` needs neither the contents nor the
        packages that read them.

        Raises:
          MissingCorpusError: there is none.
          UserError: an option has an invalid value, or the corpus cannot be listed.
        """
        return list(self.all_files())

    @abc.abstractmethod
    def read(self, shard: Any, source: str) -> Iterator[Document | Skipped]:
        """Yields the documents of one shard, and what was skipped in it."""


def once(files: Iterable[RawFile]) -> Iterator[RawFile]:
    """Yields each name once: several shards may be parts of one file."""
    seen: set[str] = set()
    for file in files:
        if file.name not in seen:
            seen.add(file.name)
            yield file


def read_utf8(path: StrPath, origin: str) -> str | Skipped:
    """Returns the text of a file without a byte order mark, or why it was skipped."""
    try:
        found = os.stat(path)
    except OSError as error:  # a broken link, or a loop of links
        return Skipped(origin, f"unreadable: {error.strerror}")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
        return Skipped(origin, "not a regular file")
    if found.st_size > MAX_FILE_BYTES:
        return Skipped(origin, TOO_LARGE)
    try:
        content = read_bytes(path)
    except UserError as error:
        return Skipped(origin, f"unreadable: {_reason(error)}")
    return decoded(content, origin)


def decoded(content: bytes, origin: str) -> str | Skipped:
    """Returns the text of a file's bytes without a byte order mark, or why it is skipped."""
    if b"\0" in content:
        return Skipped(origin, "binary")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Skipped(origin, "not UTF-8")


def _reason(error: UserError) -> str:
    """Returns the system's message only: reasons are counted, so they name no file."""
    cause = error.__cause__
    return str(cause.strerror) if isinstance(cause, OSError) else "the system refuses"


def chunks(items: Sequence[T], size: int = FILES_PER_SHARD) -> list[Sequence[T]]:
    """Returns consecutive runs of `size` items, the last one shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
