"""A file of any store as a binary stream with random access, for libraries that take a stream."""

import io
import os
from typing import TYPE_CHECKING

from codepretrain.files.storage import StrPath, read_range, size

if TYPE_CHECKING:
    from typing_extensions import Buffer  # in collections.abc as of Python 3.12


class RangeFile(io.RawIOBase):
    """Reads ranges on demand; nothing is kept open between two reads."""

    def __init__(self, path: StrPath) -> None:
        """Raises MissingFileError if there is no such file."""
        super().__init__()
        self._path = path
        self._size = size(path)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size
        if size is not None and size >= 0:
            stop = min(stop, self._position + size)
        found = read_range(self._path, self._position, stop)
        self._position += len(found)
        return found

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: "Buffer") -> int:
        into = memoryview(buffer).cast("B")
        found = self.read(len(into))
        into[: len(found)] = found
        return len(found)
