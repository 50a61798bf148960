"""Temporary local copies of files, for libraries that read local files only."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from codepretrain.files.explain import explained
from codepretrain.files.scratch import scratch_folder
from codepretrain.files.storage import StrPath, is_local, read_chunks


class LocalCopies:
    """Gives each path a local file until the block ends; copies are also removed with the process.

    The copies are in the system's temporary directory (TMPDIR). For rows, which are read in every
    run, use `cache.Cache`.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._copies: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        self._folder, self._copies = None, {}

    def local(self, path: StrPath) -> Path:
        """Returns a local file with the contents of `path`: a local path is returned as is.

        Raises:
          UserError: there is no such file, or no space for its copy.
        """
        if is_local(path):
            return Path(path)
        address = str(path)
        if address not in self._copies:
            self._copies[address] = self._download(path)
        return self._copies[address]

    def _download(self, path: StrPath) -> Path:
        if self._folder is None:
            parent = Path(tempfile.gettempdir())
            self._folder = self._stack.enter_context(scratch_folder(parent, "codepretrain-copies"))
        copy = self._folder / f"{len(self._copies)}"
        with explained("write", copy), open(copy, "wb") as file:
            for chunk in read_chunks(path):
                file.write(chunk)
        return copy
