"""What tests of the sandbox share: a victim outside, and limits that are soon reached."""

import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from codepretrain.evals.sandbox.run import Execution, SandboxLimits, run_program, sandbox_isolation

QUICK = SandboxLimits(wall_s=10.0, cpu_s=2, memory_bytes=256 << 20, file_bytes=1 << 20)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has these layers")
needs_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 call numbers")


def granted(*layers: str) -> tuple[str, ...]:
    """Returns the layers; skips the test where the machine does not grant one."""
    for name in layers:
        if name not in sandbox_isolation().granted:
            pytest.skip(f"{name} is not granted here: {sandbox_isolation().missing[name]}")
    return layers


def run_in(layers: Sequence[str], program: str) -> Execution:
    """Runs a program in these layers alone."""
    return run_program(program, limits=QUICK, layers=layers, required_layers=layers)


def error_of(execution: Execution) -> str:
    """Returns the last line of a traceback."""
    return execution.stderr.decode().strip().rpartition("\n")[2]


@pytest.fixture
def victim() -> Iterator[int]:
    """Another process of the same user."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process.pid
        assert process.poll() is None, "the victim was killed"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file of the same user, which must stay as it is."""
    path = tmp_path / "outside"
    path.write_text("hunter2")
    path.chmod(0o644)
    before = path.stat()
    yield path
    assert path.read_text() == "hunter2"
    after = path.stat()
    for name in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_ctime_ns"):
        assert getattr(after, name) == getattr(before, name), name
