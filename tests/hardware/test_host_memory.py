"""What is freed stays, in a process of its own: the settings cannot be taken back."""

import subprocess
import sys

import pytest

from codepretrain.hardware import host_memory

# Page faults of clearing 256 MiB for the second time, after it was freed once.
SCRIPT = """
import ctypes, resource
from codepretrain.hardware.host_memory import keep_freed_memory
if {keeps}:
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.free.argtypes = (ctypes.c_void_p,)
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(2**28)
    ctypes.memset(block, 1, 2**28)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
@pytest.mark.parametrize("keeps", [True, False])
def test_freed_memory_is_kept(keeps):
    command = [sys.executable, "-c", SCRIPT.format(keeps=keeps)]
    faults = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (faults < 10) == keeps


def test_another_malloc_is_left_alone(monkeypatch):
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda name: object())
    assert not host_memory.keep_freed_memory()


def test_accelerators_by_their_files(monkeypatch, tmp_path):
    monkeypatch.setattr(host_memory, "_ACCELERATORS", (str(tmp_path / "vfio" / "[0-9]*"),))
    assert not host_memory.has_accelerator()
    (tmp_path / "vfio").mkdir()
    (tmp_path / "vfio" / "vfio").touch()  # there without a device, too
    assert not host_memory.has_accelerator()
    (tmp_path / "vfio" / "0").touch()
    assert host_memory.has_accelerator()
