"""A cgroup that bounds all memory of one program: its pages, its files and the kernel's share.

Both versions of cgroups are supported. In version 2 a group with processes of its own grants no
controllers to its children, so the group is then made beside the one of this process.
"""

import os
import time

_PREFIX = "codepretrain-sandbox-"
_REMOVAL_ATTEMPTS = 50


def create(limit_bytes: int) -> str:
    """Makes a cgroup of at most `limit_bytes` without swap, and returns its directory.

    Raises:
      OSError: no memory controller, or no right to make a group.
    """
    version, parents = _parents()
    problem = OSError("no cgroup with a memory controller is mounted")
    for parent in parents:
        group = f"{parent}/{_PREFIX}{os.getpid()}"
        try:
            if os.path.isdir(group):  # of an earlier process with this number that was killed
                os.rmdir(group)
            os.mkdir(group)
        except OSError as error:
            problem = error
            continue
        try:
            if version == 1:
                _write(group, "memory.limit_in_bytes", limit_bytes)
                _write(group, "memory.memsw.limit_in_bytes", limit_bytes, optional=True)
            else:
                _write(group, "memory.max", limit_bytes)
                _write(group, "memory.swap.max", 0, optional=True)
            return group
        except OSError as error:
            problem = error
            remove(group)
    raise problem


def add(group: str, process_id: int) -> None:
    """Moves a process into the group; what it allocates from now on counts."""
    _write(group, "cgroup.procs", process_id)


def was_exhausted(group: str) -> bool:
    """Whether the kernel killed a process of the group for lack of memory."""
    for name in ("memory.events", "memory.oom_control"):
        try:
            with open(f"{group}/{name}") as file:
                counts = dict(line.split() for line in file)
        except FileNotFoundError:
            continue
        return int(counts.get("oom_kill", 0)) > 0
    return False


def remove(group: str) -> None:
    """Removes the group, whose processes have ended. The kernel may take a moment to notice."""
    for _ in range(_REMOVAL_ATTEMPTS):
        try:
            os.rmdir(group)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.002)


def _write(group: str, name: str, value: int, *, optional: bool = False) -> None:
    if optional and not os.path.exists(f"{group}/{name}"):
        return
    descriptor = os.open(f"{group}/{name}", os.O_WRONLY)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _parents() -> tuple[int, list[str]]:
    """Returns the version of cgroups and the directories in which a group may be made."""
    with open("/proc/self/cgroup") as file:
        own = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    own_v1 = next((path for names, path in own.items() if "memory" in names.split(",")), None)
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file]
    for fields in mounts:
        root, mount_point = fields[3:5]
        kind, _, options = fields[fields.index("-") + 1 :][:3]
        if own_v1 is not None and kind == "cgroup" and "memory" in options.split(","):
            return 1, [_below(mount_point, root, own_v1)]
        if own_v1 is None and kind == "cgroup2" and "" in own:
            group = _below(mount_point, root, own[""])
            beside = [os.path.dirname(group)] if group != mount_point else []
            return 2, [group, *beside]
    return 0, []


def _below(mount_point: str, root: str, path: str) -> str:
    if root != "/" and (path + "/").startswith(root + "/"):
        path = path[len(root) :]
    return (mount_point + path).rstrip("/")
