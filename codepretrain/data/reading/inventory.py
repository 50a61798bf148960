"""The raw files that documents were read from, and whether they are still the same.

Names are relative to the corpus, so an inventory does not depend on where a corpus is. If a reader
stopped at its `max_bytes`, the inventory ends with the files of the last part that was read: later
files change no document.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from codepretrain.config.parse import parse
from codepretrain.data.readers.reader import RawFile
from codepretrain.data.reading.checksums import Checksums, versions
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath
from codepretrain.files.versions import Version
from codepretrain.rows.verify import folder_remedy

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
    """Raw files that were read, in order."""

    files: tuple[InventoryEntry, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, path: StrPath) -> "Inventory":
        """Returns the inventory that `to_json` wrote. Raises UserError if `path` is damaged."""
        try:
            return parse(cls, value, path=str(path))
        except UserError as error:
            raise UserError(f"{error}; {folder_remedy(path)}") from error


def entries(
    files: Sequence[RawFile], found: Sequence[Version], checksums: Checksums
) -> list[InventoryEntry]:
    """Returns the entry of each file. found: their versions."""
    return [
        InventoryEntry(name=file.name, size=version.size, checksum=checksum)
        for file, version, checksum in zip(files, found, checksums.of(files, found), strict=True)
    ]


def check_inventory(
    inventory: Inventory,
    files: Iterable[RawFile],
    *,
    folder: StrPath,
    was_capped: bool,
) -> None:
    """Compares the raw files of today with those that the source's documents were read from.

    Args:
      files: of today, as `Reader.all_files` yields them.
      folder: of the source's documents in the pool.
      was_capped: reading stopped before the last file.

    Raises:
      ChangedFilesError: names the first file that is new, gone or altered.
    """
    found = list(islice(files, len(inventory.files)) if was_capped else files)
    names, old_names = ([file.name for file in some] for some in (found, inventory.files))
    if names != old_names:
        raise _changed(folder, _moved(names, old_names))
    checksums = Checksums(folder)
    now = entries(found, versions(found), checksums)
    checksums.save()
    altered = [n for n, entry in enumerate(now) if entry != inventory.files[n]]
    if altered:
        old, new = inventory.files[altered[0]], now[altered[0]]
        sizes = f" ({old.size:,} → {new.size:,} bytes)" if old.size != new.size else ""
        others = f", and {len(altered) - 1:,} others" if len(altered) > 1 else ""
        file = found[altered[0]]
        what = "was altered" if file.version is None else "has another version"
        raise _changed(folder, f"{file.path or file.name} {what}{sizes}{others}")


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


def _changed(folder: StrPath, what: str) -> ChangedFilesError:
    return ChangedFilesError(
        f"the raw files are not those that the study's documents in {folder} were read from: "
        f"{what}; restore them, choose another --workdir, or run `codepretrain prepare "
        "--reread-changed` to read them again and remake what depends on them"
    )
