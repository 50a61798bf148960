"""Reads ranges of a directory's files, in place or from whole copies in a local cache.

Local files are read in place. From an object store a range is read directly until the file's copy
is in the cache: the first read of a file requests the copy, and a few threads make copies in that
order. So no read waits for a whole file, and files that do not fit into the cache are always read
by ranges.
"""

import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Mapping
from functools import cache as cached
from pathlib import Path

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.cache import Cache, Held
from codepretrain.files.open_files import SHARED, raise_descriptor_limit
from codepretrain.files.storage import MissingFileError, StrPath, is_local, read_range

_NUM_COPIERS = 2


@cached
def host_cache(max_bytes: int | None = None) -> Cache:
    """Returns this user's cache on the host, which is in the temporary directory (TMPDIR).

    Args:
      max_bytes: `config.execution.row_cache_bytes`; None is half of the disk.
    """
    folder = Path(tempfile.gettempdir())
    if max_bytes is None:
        max_bytes = shutil.disk_usage(folder).total // 2
    return Cache(
        folder / f"codepretrain-rows-{os.getuid()}",
        max_bytes=max_bytes,
        setting="config.execution.row_cache_bytes",
    )


@cached
def _max_held() -> int:
    """Copies held by one directory: each costs a descriptor, and there may be dozens of them."""
    return raise_descriptor_limit() // 64


class ShardFiles:
    """The files of one directory; safe to read from threads."""

    def __init__(
        self, directory: StrPath, hashes: Mapping[str, str], *, cache: Cache | None = None
    ) -> None:
        """hashes: SHA-256 of each file, by name. cache: by default the user's."""
        self._paths = {name: epath.Path(directory) / name for name in hashes}
        self._hashes = dict(hashes)
        self._is_local = is_local(directory)
        self._local_paths = (
            {name: str(path) for name, path in self._paths.items()} if self._is_local else {}
        )
        self._cache = cache
        self._ordered: set[str] = set()
        self._held: list[Held] = []
        self._lock = threading.Lock()

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Returns the bytes from `start` up to `stop`, fewer if the file ends before `stop`.

        Raises:
          MissingFileError: there is no such file.
          UserError: the system or the store refuses.
        """
        local = self._local_paths.get(name)
        if local is not None:
            try:
                return SHARED.read(local, start, stop)
            except MissingFileError:
                if self._is_local:
                    raise
                self._forget(name)  # the copy was removed: by `close`, or by a cleaner of TMPDIR
        with self._lock:
            is_new = name not in self._ordered
            self._ordered.add(name)
        if is_new:
            _order(self, name)
        return read_range(self._paths[name], start, stop)

    def hold(self, name: str) -> Path:
        """Returns the path of a whole local copy, verified by hash if it had to be made."""
        if self._is_local:
            return Path(self._paths[name])
        held = (self._cache or host_cache()).hold(self._paths[name], sha256=self._hashes[name])
        with self._lock:
            self._held.append(held)
        return held.path

    def close(self) -> None:
        """Closes files that are read in place, and lets the cache remove copies.

        Later reads open them again.
        """
        with self._lock:
            held, self._held = self._held, []
            if not self._is_local:
                self._local_paths, self._ordered = {}, set()
        for path in list(self._local_paths.values()) + [str(h.path) for h in held]:
            SHARED.close(path)
        for copy in held:
            copy.close()

    def _forget(self, name: str) -> None:
        """Makes the next reads of a file order a new copy."""
        with self._lock:
            self._local_paths.pop(name, None)
            self._ordered.discard(name)

    def copy(self, name: str) -> None:
        """Makes the copy of a file from which later reads are served, if there is space for it."""
        if len(self._held) >= _max_held():
            return
        try:
            path = self.hold(name)
        except UserError:  # later reads use ranges, whose errors name the file
            return
        self._local_paths[name] = str(path)


_orders: "queue.SimpleQueue[tuple[ShardFiles, str]]" = queue.SimpleQueue()
_copiers: list[threading.Thread] = []
_copiers_lock = threading.Lock()


def _order(files: ShardFiles, name: str) -> None:
    """Queues the copy. Copy threads end with the process, even in mid-copy."""
    with _copiers_lock:
        if not _copiers:
            for _ in range(_NUM_COPIERS):
                _copiers.append(threading.Thread(target=_copy_ordered, daemon=True))
                _copiers[-1].start()
    _orders.put((files, name))


def _copy_ordered() -> None:
    while True:
        files, name = _orders.get()
        files.copy(name)
