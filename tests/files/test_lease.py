"""One process at a time in a local folder."""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hold_errors import LeaseLostError
from codepretrain.files.lease import exclusive

_HOLD = """
import sys
from codepretrain.files import storage
from codepretrain.files.lease import exclusive
with exclusive(storage.parse(sys.argv[1]), ttl_s=float(sys.argv[2])) as lease:
    print("held", flush=True)
    sys.stdin.read() if len(sys.argv) < 4 else __import__("time").sleep(float(sys.argv[3]))
    lease.check()
print("released", flush=True)
"""


def test_the_holder_is_named(tmp_path: Path) -> None:
    path = storage.parse(tmp_path / "run")
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with exclusive(path) as lease:
        lease.check()
        with pytest.raises(UserError, match=f"run is in use by {holder}: wait"), exclusive(path):
            pytest.fail("two holders")
        lease.check()
    with exclusive(path):
        pass


def test_a_killed_holder_lets_go(tmp_path: Path, start: Any) -> None:
    process = start(_HOLD, tmp_path / "run", "60", "100")
    assert process.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {process.pid} "), exclusive(tmp_path / "run"):
        pytest.fail("two holders")
    process.kill()
    process.wait()
    with exclusive(tmp_path / "run"):
        pass


def test_waits_for_the_holder(tmp_path: Path, start: Any) -> None:
    process = start(_HOLD, tmp_path / "run", "60", "0.3")
    assert process.stdout.readline() == "held\n"
    with exclusive(tmp_path / "run", waits=True):
        assert process.stdout.readline() == "released\n"


def test_the_holder_that_is_waited_for_is_announced(tmp_path: Path, start: Any) -> None:
    process = start(_HOLD, tmp_path / "run", "60", "0.3")
    assert process.stdout.readline() == "held\n"
    lines: list[str] = []
    with exclusive(tmp_path / "run", waits=True, announce=lines.append):
        assert process.stdout.readline() == "released\n"
    assert len(lines) == 1
    assert f"run is in use by process {process.pid} on " in lines[0]
    assert lines[0].endswith(": waiting for it to end")


def test_a_folder_removed_under_the_holder_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(LeaseLostError, match="removed or replaced"), exclusive(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot lock .*one of its parents is a file"),
        exclusive(tmp_path / "file" / "run"),
    ):
        pytest.fail("held")
