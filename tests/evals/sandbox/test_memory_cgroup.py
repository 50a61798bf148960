import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.evals.sandbox.memory_cgroup import MemoryCgroup, possible_parents
from codepretrain.evals.sandbox.run import SandboxLimits, run_program
from tests.conftest import ROOT
from tests.evals.sandbox.conftest import granted, needs_linux

MOUNTS_V1 = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
35 31 0:32 /jobs /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
MOUNTS_V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.mark.parametrize(
    ("own", "mounts", "expected"),
    [
        (
            "9:pids:/\n4:cpu,memory:/jobs/a\n0::/\n",
            MOUNTS_V1,
            (1, ["/sys/fs/cgroup/memory/a"]),
        ),
        (
            "0::/user.slice/app.slice/x.scope\n",
            MOUNTS_V2,
            (
                2,
                [
                    "/sys/fs/cgroup/user.slice/app.slice/x.scope",
                    "/sys/fs/cgroup/user.slice/app.slice",
                ],
            ),
        ),
        ("0::/\n", MOUNTS_V2, (2, ["/sys/fs/cgroup"])),
        ("0::/\n", "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", (0, [])),
    ],
)
def test_where_a_group_may_be_made(own: str, mounts: str, expected: tuple[int, list[str]]) -> None:
    assert possible_parents(own, mounts) == expected


def test_without_a_memory_controller_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "codepretrain.evals.sandbox.memory_cgroup.possible_parents", lambda own, mounts: (0, [])
    )
    with pytest.raises(OSError, match="no cgroup with a memory controller"):
        MemoryCgroup(1 << 20, "ab")


def test_version_2_falls_back_to_a_group_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain directories lack the kernel's files: both are tried, and neither is left."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(
        "codepretrain.evals.sandbox.memory_cgroup.possible_parents",
        lambda *_: (2, [str(own), str(tmp_path)]),
    )
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/codepretrain-sandbox-.*/memory.max"):
        MemoryCgroup(1 << 20, "ab")
    assert os.listdir(tmp_path) == ["own"]
    assert os.listdir(own) == []


HUNGRY = """\
import os, sys
from codepretrain.evals.sandbox.memory_cgroup import MemoryCgroup, remove
group = MemoryCgroup(32 << 20, "ab")
pid = os.fork()
if pid == 0:
    group.enter()
    x = b"x" * (int(sys.argv[1]) << 20)
    os._exit(0)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), group.was_exhausted())
remove(group.path)
print(os.path.exists(group.path))
"""


@needs_linux
@pytest.mark.parametrize(("megabytes", "expected"), [(8, "0 False False"), (64, "-9 True False")])
def test_memory_beyond_the_limit_ends_the_process(megabytes: int, expected: str) -> None:
    granted("memory_cgroup")
    own, mounts = (Path(f"/proc/self/{name}").read_text() for name in ("cgroup", "mountinfo"))
    if possible_parents(own, mounts)[0] == 2:
        pytest.skip("a process enters a group of version 2 by `clone3` alone")
    result = subprocess.run(
        [sys.executable, "-c", HUNGRY, str(megabytes)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert result.stdout.split() == expected.split(), result.stderr


@needs_linux
def test_a_program_is_charged_to_its_group() -> None:
    """Address space unbounded, as without `limits`: the group alone stops it."""
    granted("memory_cgroup")
    limits = SandboxLimits(memory_bytes=64 << 20, disk_bytes=1 << 20)
    layers = ("memory_cgroup",)
    program = "x = [b'x' * (1 << 20) for _ in range(256)]"
    execution = run_program(program, limits=limits, layers=layers, required_layers=layers)
    assert (execution.status, execution.exit_code) == ("memory", -9)
