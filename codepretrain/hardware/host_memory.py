"""On a CPU: memory that one step frees is kept for the next one.

glibc returns large blocks to the system when they are freed. The temporaries of a step are such a
block: without this, each step maps and clears all of their pages anew. With the demo's model (no
rematerialization) that was 46,000 page faults a step and a quarter of its CPU time
(`benchmarks/train_step.py --returns-memory` measures the step without it).

Only where CPUs train: beside an accelerator it saves nothing, and one heap means that all threads
wait for one lock.
"""

import ctypes
import glob

# As accelerators appear under Linux: TPUs up to v4, TPUs from v5e on, NVIDIA, AMD.
_ACCELERATORS = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*", "/dev/nvidia[0-9]*", "/dev/kfd")

# Source: malloc.h of glibc, mallopt(3).
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_LARGEST_INT = 2**31 - 1


def has_accelerator() -> bool:
    """Whether the system shows an accelerator, driver and all; imports nothing."""
    return any(glob.glob(pattern) for pattern in _ACCELERATORS)


def keep_freed_memory() -> bool:
    """Tells malloc to return nothing to the system; to be called before threads are started.

    One heap (the others are mapped in pieces of 64 MiB), no block mapped by itself, and up to 2 GiB
    of free memory kept at the heap's end. Returns False where malloc is not glibc's: nothing is
    changed there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST_INT))
    return [mallopt(name, value) for name, value in settings] == [1] * len(settings)
