"""Signals before and after the command proper: while it imports, and while it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def wait_until(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)


def handles(process: subprocess.Popen[str], number: int) -> bool:
    """Whether the process has a handler for the signal (proc_pid_status(5), SigCgt)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_it_imports(number: int, code: int) -> None:
    """It comes when the handlers are there; the imports take a second more."""
    process = start("-m", "codepretrain", "plan", "--config", "experiments/demo.py")
    wait_until(lambda: handles(process, signal.SIGTERM), process)
    process.send_signal(number)
    output, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert output == ""
    assert error == "codepretrain: stopped; nothing was started\n"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_it_ends(tmp_path: Path, number: int, code: int) -> None:
    """Within what Python runs at its end; nothing more is printed."""
    program = (
        "import atexit, sys, time, pathlib\n"
        f"marker = pathlib.Path({str(tmp_path / 'ending')!r})\n"
        "atexit.register(lambda: (marker.touch(), time.sleep(60)))\n"
        "from codepretrain.__main__ import run\n"
        "sys.argv = ['codepretrain', 'trian', '--config', 'x']\n"
        "run()\n"
    )
    process = start("-c", program)
    wait_until((tmp_path / "ending").exists, process)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == code, error
    assert error.count("\n") == 1
    assert "'trian'" in error


def test_the_exit_code_and_all_output_arrive() -> None:
    process = start("-m", "codepretrain", "--help")
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert output.startswith("usage: codepretrain")
    assert output.endswith("\n")


def test_a_defect_ends_with_its_traceback_and_1() -> None:
    program = (
        "import sys\n"
        "from codepretrain.cli import main\n"
        "main.main = lambda: 1 / 0\n"
        "from codepretrain.__main__ import run\n"
        "run()\n"
    )
    process = start("-c", program)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert error.rstrip().endswith("ZeroDivisionError: division by zero")


def test_files_that_are_removed_at_the_end_are_removed(tmp_path: Path) -> None:
    program = (
        "import sys, tempfile\n"
        f"folder = tempfile.TemporaryDirectory(dir={str(tmp_path)!r})\n"
        "from codepretrain.__main__ import run\n"
        "sys.argv = ['codepretrain', '--help']\n"
        "run()\n"
    )
    process = start("-W", "ignore", "-c", program)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert os.listdir(tmp_path) == []
