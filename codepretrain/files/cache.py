"""Local copies of immutable files of an object store, bounded in bytes.

    <directory>/<sha256>      a whole file, locked by each process that uses it
                .<…>.partial  a download, locked by the process that makes it
                .lock         held while a name is added or removed
                .lock-5f      held while a file with this hash prefix is downloaded

A copy is named by its contents, verified when it is downloaded, and shared by all processes of the
user, who alone may write to the folder. The least recently used copies are removed to make space,
never one that a process holds. Locks are those of the system, so the files of a killed process can
be removed.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codepretrain.errors import DamageError, UserError
from codepretrain.files.explain import explained, shown
from codepretrain.files.storage import StrPath, is_local, read_chunks, size


@dataclass
class Held:
    """A local file that is not removed from the cache before `close`."""

    path: Path
    _descriptor: int | None = None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


class Cache:
    """A folder of copies that any number of processes may use.

    Where they differ in `max_bytes`, each makes space up to its own limit.
    """

    def __init__(self, directory: StrPath, *, max_bytes: int, setting: str = "its limit") -> None:
        """setting: names what gave `max_bytes`, for messages."""
        self._directory = Path(directory)
        self._max_bytes = max_bytes
        self._setting = setting

    def hold(self, path: StrPath, *, sha256: str) -> Held:
        """Returns the local copy of a file, downloaded if needed; returns a local path as is.

        Args:
          sha256: of the file, as recorded when it was written.

        Raises:
          MissingFileError: there is no such file.
          UserError: the file has other contents, or the copies in use leave no space for it.
        """
        if is_local(path):
            return Held(Path(path))
        copy = self._directory / sha256
        with explained("write", copy):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            while (held := _hold(copy)) is None:
                # One process downloads, the others wait: a lock for all files with this prefix.
                with _locked(self._directory / f".lock-{sha256[:2]}"):
                    if not copy.exists():
                        self._download(path, copy)
            return held

    def _download(self, path: StrPath, copy: Path) -> None:
        digest = hashlib.sha256()
        with self._partial(copy, num_bytes=size(path)) as (partial, descriptor):
            position = 0
            for chunk in read_chunks(path):
                digest.update(chunk)
                written = 0
                while written < len(chunk):
                    written += os.pwrite(descriptor, chunk[written:], position + written)
                position += written
            if digest.hexdigest() != copy.name:
                raise DamageError(
                    f"{shown(path)} is damaged: its sha256 is {digest.hexdigest()[:12]}…, expected "
                    f"{copy.name[:12]}…; restore it, or delete its folder and make it again"
                )
            os.fsync(descriptor)
            with _locked(self._directory / ".lock"):
                partial.rename(copy)

    @contextmanager
    def _partial(self, copy: Path, *, num_bytes: int) -> Iterator[tuple[Path, int]]:
        """Yields a locked new file whose full size is reserved from the start."""
        partial = self._directory / f".{copy.name}.{secrets.token_hex(4)}.partial"
        with _locked(self._directory / ".lock"):
            self._make_space(num_bytes)
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, num_bytes)
        try:
            yield partial, descriptor
        finally:
            with _locked(self._directory / ".lock"):
                partial.unlink(missing_ok=True)
            os.close(descriptor)

    def _make_space(self, num_bytes: int) -> None:
        """Removes copies that no process uses, the least recently used first, until it fits."""
        there = [p for p in self._directory.iterdir() if not p.name.startswith(".lock")]
        sizes = {p: p.stat() for p in there}
        used = sum(stat.st_size for stat in sizes.values())
        by_age = sorted(there, key=lambda p: (p.suffix != ".partial", sizes[p].st_mtime_ns))
        for path in by_age:
            is_abandoned = path.suffix == ".partial"
            if (is_abandoned or used + num_bytes > self._max_bytes) and _remove_unused(path):
                used -= sizes[path].st_size
        if used + num_bytes > self._max_bytes:
            raise UserError(
                f"the cache {shown(self._directory)} may hold {self._max_bytes:,} bytes, of which "
                f"{used:,} are in use; {num_bytes:,} more are needed: raise {self._setting}"
            )


def _hold(copy: Path) -> Held | None:
    """Locks a copy against removal; None if there is none."""
    while True:
        try:
            descriptor = os.open(copy, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if _is_at(copy, descriptor):
            os.utime(copy)
            return Held(copy, descriptor)
        os.close(descriptor)  # it was removed before we locked it


def _remove_unused(path: Path) -> bool:
    """Removes a file unless a process has it locked; returns whether it did."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
