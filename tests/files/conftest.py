"""Storage under test: a local folder and an object store in memory."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from etils import epath
from fsspec.implementations.memory import MemoryFileSystem

from codepretrain.files import storage


class LockedMemory(MemoryFileSystem):
    """fsspec's memory file system with atomic operations, as an object store has them.

    The original hands out one shared file object, and looks whether a file exists before, not
    while it creates it.
    """

    lock = threading.RLock()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        with self.lock:
            super().pipe_file(path, bytes(value), mode=mode, **kwargs)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        with self.lock:
            return super().cat_file(path, start, end, **kwargs)

    def rm_file(self, path: str) -> None:
        with self.lock:
            if self._strip_protocol(path) not in self.store:
                raise FileNotFoundError(path)
            self._rm(path)


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Iterator[epath.Path]:
    """An empty folder of an object store in memory."""
    fsspec.register_implementation("memory", LockedMemory, clobber=True)
    LockedMemory.store.clear()
    LockedMemory.pseudo_dirs[:] = [""]
    yield storage.parse("memory://bucket/folder")
    LockedMemory.store.clear()


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    """A folder of each kind of storage; it does not exist yet."""
    if request.param == "local":
        return storage.parse(tmp_path / "folder")
    return request.getfixturevalue("memory")
