"""A cgroup that bounds all memory of one program: its pages, its files and the kernel's share.

Both versions of cgroups are supported. In version 2 a group with processes of its own grants no
controllers to its children, so the group is then made next to that of this process.

Moving another process by `cgroup.procs` takes the kernel 10 to 25 ms. So the program is created in
its group (version 2, `clone3`) or enters it itself as a single thread (version 1).
"""

import os
import time

_PREFIX = "codepretrain-sandbox-"
_REMOVAL_LIMIT_S = 5.0  # the kernel may take long to end a killed program on a busy machine


class MemoryCgroup:
    """A group of at most `limit_bytes`, without swap.

    Args:
      token: what its name ends with; no other group of this process has it.

    Raises:
      OSError: no memory controller, or no right to make a group.
    """

    def __init__(self, limit_bytes: int, token: str) -> None:
        self.version, paths = possible_paths(os.getpid(), token)
        problem = OSError("no cgroup with a memory controller is mounted")
        for path in paths:
            self.path = path
            try:
                os.mkdir(self.path)
            except OSError as error:
                problem = error
                continue
            try:
                self._set_limit(limit_bytes)
                self.entry = self._open_entry()
                return
            except OSError as error:
                problem = error
                remove(self.path)
        raise problem

    def _set_limit(self, limit_bytes: int) -> None:
        limit, swap, swap_limit = "memory.max", "memory.swap.max", 0
        if self.version == 1:
            limit, swap, swap_limit = (
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
                limit_bytes,
            )
        self._write(limit, limit_bytes)
        if os.path.exists(f"{self.path}/{swap}"):
            self._write(swap, swap_limit)

    def _open_entry(self) -> int:
        """Returns a descriptor with which a child is created in the group."""
        if self.version == 1:
            return os.open(f"{self.path}/tasks", os.O_WRONLY)
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

    def enter(self) -> None:
        """Moves this process, which has a single thread, into a group of version 1."""
        os.write(self.entry, b"0")

    def was_exhausted(self) -> bool:
        """Whether the kernel killed a process of the group when out of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with open(f"{self.path}/{name}") as file:
            counts = dict(line.split() for line in file)
        return int(counts.get("oom_kill", 0)) > 0

    def _write(self, name: str, value: int) -> None:
        descriptor = os.open(f"{self.path}/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)


def remove(path: str) -> None:
    """Removes a group, whose processes have ended; the kernel may take a moment to notice.

    A missing group is no error.
    """
    deadline = time.monotonic() + _REMOVAL_LIMIT_S
    while True:
        try:
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)


def possible_paths(pid: int, token: str) -> tuple[int, list[str]]:
    """Returns the version of cgroups and where the group of process `pid` may be."""
    with open("/proc/self/cgroup") as own, open("/proc/self/mountinfo") as mounts:
        version, parents = possible_parents(own.read(), mounts.read())
    return version, [f"{parent}/{_PREFIX}{pid}-{token}" for parent in parents]


def possible_parents(own_groups: str, mounts: str) -> tuple[int, list[str]]:
    """Returns the version of cgroups and the directories in which a group may be made.

    Args:
      own_groups: the content of /proc/self/cgroup.
      mounts: the content of /proc/self/mountinfo.
    """
    own = dict(line.split(":", 2)[1:] for line in own_groups.splitlines())
    own_v1 = next((path for names, path in own.items() if "memory" in names.split(",")), None)
    for line in mounts.splitlines():
        fields = line.split()
        root, mount_point = fields[3:5]
        kind, _, options = fields[fields.index("-") + 1 :][:3]
        if own_v1 is not None and kind == "cgroup" and "memory" in options.split(","):
            return 1, [_directory(mount_point, root, own_v1)]
        if own_v1 is None and kind == "cgroup2" and "" in own:
            group = _directory(mount_point, root, own[""])
            beside = [os.path.dirname(group)] if group != mount_point else []
            return 2, [group, *beside]
    return 0, []


def _directory(mount_point: str, root: str, path: str) -> str:
    """Returns the directory of the group `path`, given the mounted part of the hierarchy."""
    if root != "/" and (path + "/").startswith(root + "/"):
        path = path[len(root) :]
    return (mount_point + path).rstrip("/")
