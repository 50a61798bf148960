"""How many programs this machine runs at a time: by its cores, and by the memory they may use."""

import os
import sys

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def num_parallel(bytes_each: int) -> int:
    """Returns how many programs of at most `bytes_each` may run at a time, at least one."""
    return max(1, min(num_cores(), available_bytes() // bytes_each))


def num_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int:
    """Returns the memory that is free here, within the limit of a container; large if unknown."""
    free = [sys.maxsize]
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) << 10)
    for limit, used in _CGROUPS:
        texts = _text(limit).strip(), _text(used).strip()
        if all(text.isdecimal() for text in texts):  # "max": no limit
            free.append(max(0, int(texts[0]) - int(texts[1])))
    return min(free)


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # not Linux, or the other version of cgroups
        return ""
