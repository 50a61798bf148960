"""Ranges of many local files, read through a bounded number of open descriptors.

A file is opened when it is first read. Beyond the bound the least recently used one is closed;
opening it again costs about as much as one read, because nothing else is kept per file.
"""

import os
import resource
import threading
from collections import OrderedDict

from codepretrain.files.explain import explained, shown
from codepretrain.files.storage import MissingFileError, StrPath

_MAX_OPEN = 4096
_MANY = 65_536


class OpenFiles:
    """Reads from any number of files; safe for threads and for forked processes."""

    def __init__(self, *, max_open: int | None = None) -> None:
        """max_open: descriptors kept; by default half of the process's limit, up to 4096."""
        self._max_open = max_open
        self._descriptors: OrderedDict[str, _Descriptor] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: StrPath, start: int, stop: int) -> bytes:
        """Returns the bytes from `start` up to `stop`, fewer if the file ends before `stop`.

        Raises:
          MissingFileError: there is no such file.
          UserError: the system refuses.
        """
        with explained("read", path):
            descriptor = self._open(os.fspath(path))
            content = os.pread(descriptor.number, stop - start, start)
            while len(content) < stop - start:
                position = start + len(content)
                more = os.pread(descriptor.number, stop - position, position)
                if not more:
                    break
                content += more
        return content

    def close(self, path: StrPath) -> None:
        """Forgets a file; it is closed when no thread reads it any more."""
        with self._lock:
            self._descriptors.pop(os.fspath(path), None)

    def _open(self, path: str) -> "_Descriptor":
        with self._lock:
            descriptor = self._descriptors.get(path)
            if descriptor is None:
                descriptor = self._descriptors[path] = _Descriptor(path)
                while len(self._descriptors) > (self._max_open or _limit()):
                    self._descriptors.popitem(last=False)
            else:
                self._descriptors.move_to_end(path)
            return descriptor


class _Descriptor:
    """An open file, closed with the last reference: no thread reads from a reused number."""

    def __init__(self, path: str) -> None:
        self.number = -1
        try:
            self.number = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingFileError(f"there is no file {shown(path)}") from error

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


def raise_descriptor_limit() -> int:
    """Raises this process's limit of open files to the system's maximum, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY if hard == resource.RLIM_INFINITY else min(hard, _MANY)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MANY if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_OPEN
    return max(1, min(_MAX_OPEN, soft // 2))


SHARED = OpenFiles()  # one bound for the whole process, for any number of sources
