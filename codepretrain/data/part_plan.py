"""Divides the shards of a source into parts, the units of reading.

A part is consecutive shards with at least `PART_BYTES` of raw files together. Where it ends beyond
that is decided by a hash of a shard's names, so that after a change the next ends are found where
they were, and only the parts with changed files are other parts.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from codepretrain.data.checksums import Checksums, versions
from codepretrain.data.inventory import InventoryEntry, entries
from codepretrain.data.readers.reader import RawFile, Reader, chunks
from codepretrain.files.hashing import sha256_json
from codepretrain.files.versions import Version

PART_BYTES = 64 * 2**20
_PARTS_TO_LIMIT = 8  # a small `max_bytes` is not reached with one part of many times its size
_MIN_PART_BYTES = 2**20
_UNKNOWN_BYTES = 4 * 2**20  # of a shard without files, or of files with a stated version
_ENDS = 4  # one in so many shards ends a part that is large enough
_SHARDS_AT_ONCE = 512
_KEY_DIGITS = 24


@dataclass(frozen=True, kw_only=True)
class Part:
    """Shards that are read together. versions: of the files, before they are read.

    occurrences: of each shard, how many shards with the same files are before it in the source.
    """

    shards: tuple[Any, ...]
    occurrences: tuple[int, ...]
    files: tuple[RawFile, ...]
    versions: tuple[Version, ...]
    num_bytes: int


@dataclass
class _Open:
    """The part that shards are being added to."""

    shards: list[Any] = field(default_factory=list)
    occurrences: list[int] = field(default_factory=list)
    files: dict[RawFile, Version] = field(default_factory=dict)
    num_bytes: int = 0

    def close(self) -> Part:
        return Part(
            shards=tuple(self.shards),
            occurrences=tuple(self.occurrences),
            files=tuple(self.files),
            versions=tuple(self.files.values()),
            num_bytes=self.num_bytes,
        )


def part_bytes(limit: int | None) -> int:
    """Returns the least size of a part. limit: the reader's `max_bytes`."""
    if limit is None:
        return PART_BYTES
    return min(PART_BYTES, max(_MIN_PART_BYTES, limit // _PARTS_TO_LIMIT))


def plan_parts(reader: Reader, shards: Sequence[Any]) -> Iterator[Part]:
    """Yields the parts of a source, in order. Asks for the size of files, but reads none."""
    least = part_bytes(reader.max_bytes)
    files_of = [tuple(reader.files(shard)) for shard in shards]
    sharers = Counter(file for files in files_of for file in dict.fromkeys(files))
    seen: Counter[tuple[RawFile, ...]] = Counter()
    part = _Open()
    for numbers in chunks(range(len(shards)), _SHARDS_AT_ONCE):
        new = list(dict.fromkeys(file for number in numbers for file in files_of[number]))
        known = dict(zip(new, versions(new), strict=True))
        for number in numbers:
            files = files_of[number]
            size = sum(known[file].size / sharers[file] for file in dict.fromkeys(files))
            size = int(size) or _UNKNOWN_BYTES
            part.shards.append(shards[number])
            part.occurrences.append(seen[files])
            part.files.update({file: known[file] for file in files})
            part.num_bytes += size
            is_end = size >= least or _is_end(files, seen[files])
            seen[files] += 1
            if part.num_bytes >= least and is_end:
                yield part.close()
                part = _Open()
    if part.shards:
        yield part.close()


def part_inventory(part: Part, checksums: Checksums) -> tuple[InventoryEntry, ...]:
    """Returns the part's raw files. Reads those whose checksum is not known."""
    return tuple(entries(part.files, part.versions, checksums))


def part_key(
    part: Part, inventory: Sequence[InventoryEntry], settings_hash: str, reader: Reader
) -> str:
    """Returns the identity of the part's documents: the settings, the raw files, the shards.

    What a shard is follows from its files and from its place among the shards with the same files.
    """
    shards = [
        [[file.name for file in reader.files(shard)], occurrence]
        for shard, occurrence in zip(part.shards, part.occurrences, strict=True)
    ]
    files = [[entry.name, entry.size, entry.checksum] for entry in inventory]
    contents = {"settings": settings_hash, "files": files, "shards": shards}
    return sha256_json(contents)[:_KEY_DIGITS]


def _is_end(files: Sequence[RawFile], occurrence: int) -> bool:
    names = "\0".join([*(file.name for file in files), str(occurrence)])
    digest = hashlib.sha256(names.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % _ENDS == 0
