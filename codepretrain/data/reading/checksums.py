"""Checksums of a source's raw files. A file whose stamp is the same is not read again.

    <pool folder>/checksums.json    name → stamp (`files/versions.py`) and checksum

Studies share them: a stamp changes whenever the file may have changed, and with its location.
Without this file, all raw files are read and hashed again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from etils import epath

from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import THREADS, StrPath, is_file
from codepretrain.files.versions import Version, contents_checksum, file_version

CHECKSUMS = "checksums.json"
_SAVE_BYTES = 2**32  # hashed since the checksums were saved


def versions(files: Sequence[RawFile]) -> list[Version]:
    """Returns what is known of each file without reading it."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_version, files))


class Checksums:
    """The checksums in one folder of the pool."""

    def __init__(self, folder: StrPath) -> None:
        self._path = epath.Path(folder) / CHECKSUMS
        self._known: dict[str, tuple[str, str]] = _load(self._path)
        self._unsaved_bytes = 0
        self._is_saved = True

    def of(self, files: Sequence[RawFile], versions: Sequence[Version]) -> list[str]:
        """Returns the checksum of each file, "" if it cannot be read."""
        with ThreadPoolExecutor(THREADS) as pool:
            checksums = list(pool.map(self._checksum, files, versions))
        for file, version, checksum in zip(files, versions, checksums, strict=True):
            known = (version.stamp, checksum)
            if version.checksum is None and self._known.get(file.name) != known:
                self._known[file.name] = known
                self._unsaved_bytes += version.size
                self._is_saved = False
        if self._unsaved_bytes >= _SAVE_BYTES:
            self.save()
        return checksums

    def save(self) -> None:
        """Writes new checksums to the pool."""
        if not self._is_saved:
            files = {name: list(self._known[name]) for name in sorted(self._known)}
            write_sealed(self._path, {"files": files})
            self._is_saved, self._unsaved_bytes = True, 0

    def _checksum(self, file: RawFile, version: Version) -> str:
        stamp, checksum = self._known.get(file.name, ("", ""))
        if version.checksum is None and stamp == version.stamp:
            return checksum
        return contents_checksum(file.path, version)


def _load(path: StrPath) -> dict[str, tuple[str, str]]:
    """Returns the checksums; none if they are missing or damaged."""
    if not is_file(path):
        return {}
    try:
        files = read_sealed(path)[0].get("files", {})
        return {name: (stamp, checksum) for name, (stamp, checksum) in files.items()}
    except (UserError, ValueError, TypeError, AttributeError):
        return {}


def _version(file: RawFile) -> Version:
    if file.version is not None:
        return Version(0, f"version:{file.version}", f"version:{file.version}")
    return file_version(file.path)
