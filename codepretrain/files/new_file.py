"""A local file written sequentially, for folders of `whole_directory`."""

from pathlib import Path
from typing import Self

from codepretrain.files.explain import explained

_BUFFER_BYTES = 2**20


class NewFile:
    """Creates `path`, which must not exist, and appends to it. Only its folder is synced, later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_bytes = 0
        with explained("write", path):
            self._file = path.open("xb", buffering=_BUFFER_BYTES)

    def write(self, content: bytes | memoryview) -> None:
        """Appends bytes. Raises UserError if there is no space."""
        with explained("write", self.path):
            self._file.write(content)
        self.num_bytes += memoryview(content).nbytes

    def close(self) -> None:
        """Flushes the buffer. Raises UserError if there is no space."""
        with explained("write", self.path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
