"""Storage under test: a local folder, and every object store of `tests/fixtures`."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from etils import epath

from codepretrain.files import storage


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
