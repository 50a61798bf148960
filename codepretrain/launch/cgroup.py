"""How many processes the kernel has killed for lack of memory, in this process's memory cgroup."""

from collections.abc import Callable

from codepretrain.errors import UserError
from codepretrain.files.storage import read_text

_PROCESS = "/proc/self/cgroup"
_ROOT = "/sys/fs/cgroup"
_WHOLE_SYSTEM = "/proc/vmstat"


def num_oom_kills(read: Callable[[str], str] = read_text) -> int:
    """Returns the number of OOM kills so far, 0 where the system does not count them.

    A container sees its own cgroup at the root of the mount, whatever /proc/self/cgroup says. The
    last resort counts the kills of the whole machine.

    Source: cgroup-v2.rst (memory.events: oom_kill), cgroup-v1/memory.rst (memory.oom_control).

    Args:
      read: returns the text of a file.
    """
    for path in (*_paths(_text(read, _PROCESS)), _WHOLE_SYSTEM):
        for line in _text(read, path).splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill" and number.strip().isdigit():
                return int(number)
    return 0


def _paths(cgroups: str) -> list[str]:
    """Returns the files that may count, those of the narrowest group first.

    Args:
      cgroups: lines "id:controllers:path"; no controllers for version 2.
    """
    found = []
    for line in cgroups.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        inside = path.rstrip("/")
        if "memory" in controllers.split(","):
            folders, file = (f"{_ROOT}/memory{inside}", f"{_ROOT}/memory"), "memory.oom_control"
        elif not controllers:
            folders, file = (f"{_ROOT}{inside}", _ROOT), "memory.events"
        else:
            continue
        found += [f"{folder}/{file}" for folder in dict.fromkeys(folders)]
    return found


def _text(read: Callable[[str], str], path: str) -> str:
    try:
        return read(path)
    except UserError:
        return ""
