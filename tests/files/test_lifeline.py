import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codepretrain.files.lifeline import lifeline
from tests.fixtures.descendants import descendants, wait_for_end

TIMEOUT_S = 60.0
_FOLLOWER = """
import sys, time
from pathlib import Path
from codepretrain.files.lifeline import following
with following(Path(sys.argv[1])):
    Path(sys.argv[1], "begun").touch()
    time.sleep(600)
"""
_STARTER = f"""
import subprocess, sys, time
from codepretrain.files.lifeline import lifeline
with lifeline("test-lifeline") as folder:
    subprocess.Popen([sys.executable, "-c", {_FOLLOWER!r}, folder])
    while not (folder / "begun").exists():
        time.sleep(0.02)
    print("begun", flush=True)
    time.sleep(600)
"""


def follow(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _FOLLOWER, folder])


def test_followers_have_ended_when_the_block_ends() -> None:
    with lifeline("test-lifeline") as folder:
        followers = [follow(folder) for _ in range(2)]
        deadline = time.monotonic() + TIMEOUT_S
        while not (folder / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert [follower.wait(timeout=TIMEOUT_S) for follower in followers] == [0, 0]
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_followers_end_when_the_starter_is_killed(number: signal.Signals) -> None:
    starter = subprocess.Popen([sys.executable, "-c", _STARTER], stdout=subprocess.PIPE)
    with starter:
        assert starter.stdout.readline() == b"begun\n"
        followers = descendants(starter.pid)
        assert len(followers) == 1
        starter.send_signal(number)
        starter.wait(timeout=TIMEOUT_S)
    wait_for_end(followers, timeout_s=TIMEOUT_S)


def test_a_follower_that_comes_too_late_ends(tmp_path: Path) -> None:
    assert follow(tmp_path).wait(timeout=TIMEOUT_S) == 0
