"""Divides the shards of a source into parts, the units of reading.

A part is consecutive shards. A hash of its files' names decides whether a shard is the last of its
part, with a probability in proportion to its bytes, so parts have `PART_BYTES` of raw files on
average; a shard of that size is always the last. No end depends on another shard. So where raw
files change, only the parts that contain them become other parts.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from codepretrain.data.readers.reader import RawFile, Reader, chunks
from codepretrain.data.reading.checksums import Checksums, versions
from codepretrain.data.reading.inventory import InventoryEntry, entries
from codepretrain.files.hashing import sha256_json
from codepretrain.files.versions import Version

PART_BYTES = 64 * 2**20
_PARTS_TO_LIMIT = 8  # a small `max_bytes` is not reached with one part of many times its size
_MIN_PART_BYTES = 2**20
_UNKNOWN_BYTES = 4 * 2**20  # of a shard without files, or of files with a stated version
_SHARDS_AT_ONCE = 512
_KEY_DIGITS = 24


@dataclass(frozen=True, kw_only=True)
class Part:
    """Shards that are read together. versions: of the files, before they are read.

    identities: of each shard, the names of its files, and how many shards with the same files are
    before it in the source.
    """

    shards: tuple[Any, ...]
    identities: tuple[tuple[tuple[str, ...], int], ...]
    files: tuple[RawFile, ...]
    versions: tuple[Version, ...]
    num_bytes: int


@dataclass
class _Open:
    """The part that shards are being added to."""

    shards: list[Any] = field(default_factory=list)
    identities: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    files: dict[RawFile, Version] = field(default_factory=dict)
    num_bytes: int = 0

    def close(self) -> Part:
        return Part(
            shards=tuple(self.shards),
            identities=tuple(self.identities),
            files=tuple(self.files),
            versions=tuple(self.files.values()),
            num_bytes=self.num_bytes,
        )


def part_bytes(limit: int | None) -> int:
    """Returns the mean size of parts. limit: the reader's `max_bytes`."""
    if limit is None:
        return PART_BYTES
    return min(PART_BYTES, max(_MIN_PART_BYTES, limit // _PARTS_TO_LIMIT))


def plan_parts(reader: Reader, shards: Sequence[Any]) -> Iterator[Part]:
    """Yields the parts of a source, in order. Asks for the size of files, but reads none."""
    mean = part_bytes(reader.max_bytes)
    files_of = [tuple(reader.files(shard)) for shard in shards]
    sharers = Counter(file for files in files_of for file in dict.fromkeys(files))
    seen: Counter[tuple[RawFile, ...]] = Counter()
    part = _Open()
    for numbers in chunks(range(len(shards)), _SHARDS_AT_ONCE):
        new = list(dict.fromkeys(file for number in numbers for file in files_of[number]))
        known = dict(zip(new, versions(new), strict=True))
        for number in numbers:
            files = files_of[number]
            num_bytes = sum(known[file].size // sharers[file] for file in dict.fromkeys(files))
            if all(file.version is not None for file in files):
                num_bytes = _UNKNOWN_BYTES
            part.shards.append(shards[number])
            part.identities.append((tuple(file.name for file in files), seen[files]))
            part.files.update({file: known[file] for file in files})
            part.num_bytes += num_bytes
            is_last = _draw(files, seen[files]) * mean < num_bytes
            seen[files] += 1
            if is_last:
                yield part.close()
                part = _Open()
    if part.shards:
        yield part.close()


def part_inventory(part: Part, checksums: Checksums) -> tuple[InventoryEntry, ...]:
    """Returns the part's raw files. Reads those whose checksum is not known."""
    return tuple(entries(part.files, part.versions, checksums))


def part_key(part: Part, inventory: Sequence[InventoryEntry], settings_hash: str) -> str:
    """Returns the identity of the part's documents: the settings, the raw files, the shards."""
    shards = [[list(names), occurrence] for names, occurrence in part.identities]
    files = [[entry.name, entry.size, entry.checksum] for entry in inventory]
    contents = {"settings": settings_hash, "files": files, "shards": shards}
    return sha256_json(contents)[:_KEY_DIGITS]


def _draw(files: Sequence[RawFile], occurrence: int) -> float:
    """Returns a number from 0 to 1 that depends on the files' names only."""
    names = "\0".join([*(file.name for file in files), str(occurrence)])
    digest = hashlib.sha256(names.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
