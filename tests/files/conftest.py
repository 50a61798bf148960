"""Storage under test: a local folder, memory, and emulators of object stores on loopback."""

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from etils import epath
from fsspec.implementations.memory import MemoryFileSystem

from codepretrain.files import storage

BUCKET = "codepretrain-test"


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

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """There are no folders in an object store."""


@pytest.fixture
def memory() -> Iterator[epath.Path]:
    """An empty folder of an object store in memory."""
    fsspec.register_implementation("memory", LockedMemory, clobber=True)
    LockedMemory.store.clear()
    LockedMemory.pseudo_dirs[:] = [""]
    yield storage.parse("memory://bucket/folder")
    LockedMemory.store.clear()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """Yields the environment with which s3fs finds an emulator; it knows If-None-Match."""
    _require("s3fs", "moto")
    with _served(["-m", "moto.server", "-H", "127.0.0.1", "-p"], "/moto-api/") as port:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[dict[str, str]]:
    """Yields the environment with which gcsfs finds an emulator; it ignores ifGenerationMatch."""
    _require("gcsfs", "gcp_storage_emulator")
    start = f"-m gcp_storage_emulator start --host 127.0.0.1 --in-memory --default-bucket {BUCKET}"
    with _served([*start.split(), "--port"], f"/storage/v1/b/{BUCKET}") as port:
        yield {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "GOOGLE_CLOUD_PROJECT": "test",
        }


@pytest.fixture
def s3(
    s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> epath.Path:
    """An empty folder of an emulated S3 bucket, which other processes see too."""
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    if not fs.exists(BUCKET):
        fs.mkdir(BUCKET)
    return storage.parse(f"s3://{BUCKET}/{_name(request)}")


@pytest.fixture
def gcs(
    gcs_server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> epath.Path:
    """An empty folder of an emulated bucket of Google's."""
    for name, value in gcs_server.items():
        monkeypatch.setenv(name, value)
    return storage.parse(f"gs://{BUCKET}/{_name(request)}")


@pytest.fixture(params=["local", "memory", "s3", "gcs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    """A folder of each kind of storage; it does not exist yet."""
    if request.param == "local":
        return storage.parse(tmp_path / "folder")
    return request.getfixturevalue(request.param)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python code in another process, with a pipe to its standard output."""
    processes: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: os.PathLike[str] | str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *(os.fspath(argument) for argument in arguments)]
        root = Path(__file__).parents[2]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def _require(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def _name(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name.replace('[', '-').strip(']')}-{time.time_ns()}"


@contextmanager
def _served(arguments: list[str], ready: str) -> Iterator[int]:
    """Yields the port of an emulator in another process, once it answers at the path `ready`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, *arguments, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, f"{command} ended"
                time.sleep(0.2)
        yield port
    finally:
        process.kill()
        process.wait()
