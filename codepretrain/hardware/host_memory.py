"""Keeps freed memory in the process when training on a CPU.

glibc returns large blocks to the system when they are freed. The temporaries of a step are such
a block, so by default each step maps and clears all of their pages again. With the demo's model (no
rematerialization) that was 46,000 page faults a step and a quarter of its CPU time
(`benchmarks/train_step.py --returns-memory` measures the step without this setting).

For CPU training only: with an accelerator it saves nothing, and with a single heap all threads wait
for one lock.
"""

import ctypes
import glob

# Device files under Linux: TPUs up to v4, TPUs from v5e on, NVIDIA GPUs, AMD GPUs.
_ACCELERATORS = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*", "/dev/nvidia[0-9]*", "/dev/kfd")

# Source: malloc.h of glibc, mallopt(3).
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_LARGEST_INT = 2**31 - 1


def has_accelerator() -> bool:
    """Returns whether the system has an accelerator with its driver; imports nothing."""
    return any(glob.glob(pattern) for pattern in _ACCELERATORS)


def keep_freed_memory() -> bool:
    """Makes malloc return no memory to the system; call it before any thread is started.

    It uses one heap (further heaps are mapped in pieces of 64 MiB), maps no block separately, and
    keeps up to 2 GiB of free memory at the heap's end. Returns False, and changes nothing, if
    malloc is not glibc's.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST_INT))
    return [mallopt(name, value) for name, value in settings] == [1] * len(settings)
