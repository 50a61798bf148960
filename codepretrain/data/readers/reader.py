"""What every reader is: a dataclass of its options, shards in a fixed order, documents of a shard.

Shards are what worker processes are handed, so they are small, picklable, and do not depend on the
number of workers. Size limits and the dropping of duplicates are the same for all readers and are
applied to what they yield (`codepretrain.data.documents`).
"""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from codepretrain.data.document import Document, Skipped

FILES_PER_SHARD = 64

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Reader(abc.ABC):
    """Options of every reader, in UTF-8 bytes.

    Reading stops once `max_bytes` of text have been kept. Documents below `min_document_bytes` or
    above `max_document_bytes` are skipped, and counted.
    """

    max_bytes: int | None = None
    min_document_bytes: int = 1
    max_document_bytes: int | None = None

    @abc.abstractmethod
    def shards(self) -> Sequence[Any]:
        """The raw material in pieces, always in the same order."""

    @abc.abstractmethod
    def read(self, shard: Any, source: str) -> Iterator[Document | Skipped]:
        """The documents of one shard, and what in it gave none."""


def read_utf8(path: str | Path, origin: str) -> str | Skipped:
    """The text of a file without a byte order mark, or why it cannot be had."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return Skipped(origin, "not UTF-8")
    except OSError as error:
        return Skipped(origin, f"unreadable: {error.strerror}")


def chunks(items: Sequence[T], size: int = FILES_PER_SHARD) -> list[Sequence[T]]:
    """Consecutive runs of `size` items, the last one shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
