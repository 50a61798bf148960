"""The raw files that a source's documents were read from, and whether they are still the same.

    <data_dir>/documents/<source>/inventory.json    name, size and checksum of every file, in order
    <data_dir>/stamps/<source>.json                 their stamps when they were last compared

Names are relative to the corpus, so the inventory does not depend on where a corpus is. If a
reader stopped at its `max_bytes`, the inventory ends with the files of the last shard that was
read: later files change no document. A file whose stamp (`files/versions.py`) is the same is not
read again; without stamps all files are read and compared.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

from etils import epath

from codepretrain.config.parse import parse
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.errors import UserError
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import THREADS, StrPath, is_file
from codepretrain.files.versions import Version, contents_checksum, file_version

INVENTORY = "inventory.json"


class ChangedFilesError(UserError):
    """The raw files of a source are not those that its documents were read from."""


@dataclass(frozen=True, kw_only=True)
class InventoryEntry:
    """One raw file. checksum: "" if the file could not be read."""

    name: str
    size: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All raw files of a source that were read, in order."""

    files: tuple[InventoryEntry, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Watch:
    """Stamps the files of shards before they are read, and takes their inventory afterwards."""

    def __init__(self, reader: Reader, source: str) -> None:
        self._reader, self._source = reader, source
        self._before: dict[RawFile, Version] = {}

    def shards(self, shards: Sequence[Any]) -> Iterator[Any]:
        """Yields each shard after stamping its files."""
        for shard in shards:
            new = [file for file in self._reader.files(shard) if file not in self._before]
            self._before.update(zip(new, _versions(new), strict=True))
            yield shard

    def inventory(self, read: Sequence[Any]) -> tuple[Inventory, list[str]]:
        """Returns the inventory of the shards that were read, the first ones, and its stamps.

        Raises:
          UserError: a file changed while it was read.
        """
        files = list(_files(self._reader, read))
        before = [self._before[file] for file in files]
        inventory = Inventory(files=tuple(_entries(files, before)))
        for file, old, new in zip(files, before, _versions(files), strict=True):
            if old.stamp != new.stamp:
                raise UserError(
                    f"config.data.sources.{self._source}: {file.path} changed while it was read: "
                    "prepare again when nothing writes to it"
                )
        return inventory, [version.stamp for version in before]


def load_inventory(directory: StrPath, *, remedy: str) -> Inventory:
    """Returns the inventory of a source's documents.

    Raises:
      UserError: it is missing or damaged.
    """
    path = epath.Path(directory) / INVENTORY
    value, _ = read_sealed(path, remedy=remedy)
    try:
        return parse(Inventory, value, path=str(path))
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from error


def check_inventory(
    inventory: Inventory,
    reader: Reader,
    shards: Sequence[Any],
    *,
    source: str,
    data_dir: StrPath,
    was_capped: bool,
) -> None:
    """Compares the raw files of today with those that the source's documents were read from.

    Args:
      was_capped: reading stopped before the last file.

    Raises:
      ChangedFilesError: names the first file that is new, gone or altered.
    """
    files = _files(reader, shards)
    found = list(islice(files, len(inventory.files)) if was_capped else files)
    names, old_names = ([file.name for file in some] for some in (found, inventory.files))
    if names != old_names:
        raise _changed(source, data_dir, _moved(names, old_names))
    versions = _versions(found)
    stamps = _load_stamps(data_dir, source)
    if len(stamps) != len(found):
        stamps = [""] * len(found)
    suspects = [
        number
        for number, version in enumerate(versions)
        if version.stamp != stamps[number] or found[number].version is not None
    ]
    entries = _entries([found[n] for n in suspects], [versions[n] for n in suspects])
    altered = [
        (number, entry)
        for number, entry in zip(suspects, entries, strict=True)
        if entry != inventory.files[number]
    ]
    if altered:
        number, entry = altered[0]
        old = inventory.files[number]
        sizes = f" ({old.size:,} → {entry.size:,} bytes)" if old.size != entry.size else ""
        others = f", and {len(altered) - 1:,} others" if len(altered) > 1 else ""
        raise _changed(source, data_dir, f"{found[number].path} was altered{sizes}{others}")
    save_stamps(data_dir, source, [version.stamp for version in versions])


def save_stamps(data_dir: StrPath, source: str, stamps: Sequence[str]) -> None:
    """Writes the stamps of files that were found to agree with the inventory."""
    if _load_stamps(data_dir, source) != list(stamps):
        write_sealed(_stamps_path(data_dir, source), {"stamps": list(stamps)})


def _load_stamps(data_dir: StrPath, source: str) -> list[str]:
    """Returns the stamps, none if they are missing or damaged: then the files are read."""
    path = _stamps_path(data_dir, source)
    if not is_file(path):
        return []
    try:
        value, _ = read_sealed(path)
    except UserError:
        return []
    return list(value.get("stamps", ()))


def _stamps_path(data_dir: StrPath, source: str) -> epath.Path:
    return epath.Path(data_dir) / "stamps" / f"{source}.json"


def _files(reader: Reader, shards: Sequence[Any]) -> Iterator[RawFile]:
    """Yields every file once: several shards may be parts of one file."""
    files = chain.from_iterable(reader.files(shard) for shard in shards)
    return iter(dict.fromkeys(files))


def _versions(files: Sequence[RawFile]) -> list[Version]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_version, files))


def _version(file: RawFile) -> Version:
    if file.version is not None:
        return Version(0, f"version:{file.version}", f"version:{file.version}")
    return file_version(file.path)


def _entries(files: Sequence[RawFile], versions: Sequence[Version]) -> list[InventoryEntry]:
    with ThreadPoolExecutor(THREADS) as pool:
        checksums = pool.map(contents_checksum, (file.path for file in files), versions)
        return [
            InventoryEntry(name=file.name, size=version.size, checksum=checksum)
            for file, version, checksum in zip(files, versions, checksums, strict=True)
        ]


def _moved(names: Sequence[str], old_names: Sequence[str]) -> str:
    new, gone = (
        [name for name in some if name not in others]
        for some, others in ((names, set(old_names)), (old_names, set(names)))
    )
    for what, some in (("is new", new), ("is gone", gone)):
        if some:
            others = len(new) + len(gone) - 1
            return f"{some[0]} {what}" + (f", and {others:,} others changed" if others else "")
    return "they are in another order"


def _changed(source: str, data_dir: StrPath, what: str) -> ChangedFilesError:
    return ChangedFilesError(
        f"the raw files are not those that {epath.Path(data_dir) / 'documents' / source} was read "
        f"from: {what}; restore them, choose another --workdir, or run `codepretrain prepare "
        "--reread-changed` to read the source again and remake what depends on it"
    )
