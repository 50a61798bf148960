"""One process at a time in a local folder."""

import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hold_errors import LeaseLostError
from codepretrain.files.lease import exclusive, expiring

_HOLD = """
import sys
from codepretrain.files import storage
from codepretrain.files.lease import exclusive, expiring
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


_EXPIRING = _HOLD.replace("exclusive", "expiring")


def test_an_expiring_hold_is_taken_over_from_a_stopped_process(tmp_path: Path, start: Any) -> None:
    """`flock` would keep it for as long as the process exists."""
    process = start(_EXPIRING, tmp_path / "run", "1", "2")
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(UserError, match=f"process {process.pid} "),
        expiring(tmp_path / "run", ttl_s=1),
    ):
        pytest.fail("two holders")
    process.send_signal(signal.SIGSTOP)
    with expiring(tmp_path / "run", ttl_s=1) as lease:
        process.send_signal(signal.SIGCONT)
        assert process.wait() == 1  # LeaseLostError
        assert process.stdout.read() == ""
        lease.check()


def test_an_expiring_hold_of_a_killed_process_is_free_at_once(tmp_path: Path, start: Any) -> None:
    process = start(_EXPIRING, tmp_path / "run", "1000")
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    with expiring(tmp_path / "run", ttl_s=1000) as lease:
        lease.check()
