"""The sandbox's inside: gives up every right it can, then becomes the untrusted program.

`codepretrain.evals.sandbox` runs this file as a script in a fresh process, one per program, with
one argument. It is single-threaded and replaces itself by the program (`exec`): what it set up
below cannot be undone from inside. It imports little, as every program waits for it: `json` and
`platform` alone would double its 9 ms.

Each layer stands alone, and one that this kernel does not grant is left out and not reported:

    limits        rlimits: CPU seconds, address space, file size, open files, processes, no core
    namespaces    own user, network, mount and IPC namespace: no network interface that is up, no
                  rights over the machine, the working directory a tmpfs of bounded size
    capabilities  none, should the process have had any
    landlock      the file system: read and execute under the interpreter and system libraries,
                  read the program itself, write in the working directory; nothing else is opened
    seccomp       no new process or thread, no socket, no signal to or look into another process,
                  no new session, no mount, no namespace, no System V shared memory, no io_uring
"""

import ctypes
import marshal
import os
import resource
import struct
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SIGKILL, _EPERM = 9, 1
_CLONE_NEWNS, _CLONE_NEWIPC = 0x0002_0000, 0x0800_0000
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_MS_NOSUID, _MS_NODEV = 2, 4
_NOBODY = 65534

# Landlock's access rights, by the ABI version that brought them (linux/landlock.h).
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_HANDLED_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # on every architecture

# name: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h.
_FORBIDDEN_CALLS = {
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
_PRLIMIT64 = (302, 261)  # allowed on the process itself: getrlimit is made of it
_AUDIT_ARCHES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}


def main() -> None:
    spec = marshal.loads(bytes.fromhex(sys.argv[1]))  # by the same interpreter
    os.set_inheritable(spec["status_fd"], False)  # closed by exec: the program never sees it
    libc = ctypes.CDLL(None, use_errno=True)
    layers: dict[str, Callable[[], None]] = {
        "namespaces": lambda: _enter_namespaces(libc, spec),
        "capabilities": lambda: _drop_capabilities(libc),
        "landlock": lambda: _restrict_files(libc, spec),
        "limits": lambda: _set_limits(spec),
        "seccomp": lambda: _filter_calls(libc),
    }
    applied = []
    if sys.platform == "linux":
        _call(libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for name, apply in layers.items():
        if name not in spec["layers"]:
            continue
        try:
            apply()
        except OSError:
            if name == "limits":  # available everywhere: its failure is ours
                raise
        else:
            applied.append(name)
    if sys.platform == "linux":  # when the parent is killed; a change of user would reset it
        _call(libc.prctl, _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    os.chdir(spec["work_dir"])
    # Environment and switches stand in for `-I`, which would ignore the fixed hash seed: sets print
    # in the same order each time. No site-packages, no script directory on the path.
    arguments = [spec["interpreter"], "-s", "-P", "-S", "-B", "-X", "utf8", spec["program"]]
    os.write(spec["status_fd"], "\n".join(applied).encode())
    try:
        os.execve(spec["interpreter"], arguments, {"PYTHONHASHSEED": "0"})
    except OSError as error:
        os.write(spec["status_fd"], f"\n!{spec['interpreter']}: {error}".encode())


def _call(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _set_limits(spec: dict) -> None:
    """The CPU limit first sends SIGXCPU; a program that ignores it is killed a second later."""
    limits = spec["limits"]
    wanted = {
        "RLIMIT_CPU": (limits["cpu_s"], limits["cpu_s"] + 1),
        "RLIMIT_FSIZE": (limits["file_bytes"],) * 2,
        "RLIMIT_NOFILE": (64, 64),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NPROC": (1, 1),  # does not bind root, which is why seccomp forbids fork as well
        "RLIMIT_AS": (limits["memory_bytes"],) * 2,
    }
    for name, pair in wanted.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            pair = (min(pair[0], hard), min(pair[1], hard))
        try:
            resource.setrlimit(kind, pair)
        except ValueError as error:  # macOS grants no limit on address space
            if name != "RLIMIT_AS" or sys.platform == "linux":
                raise OSError(f"cannot set {name}: {error}") from error


def _enter_namespaces(libc: ctypes.CDLL, spec: dict) -> None:
    """Own user, network, mount and IPC namespace, and a tmpfs over the working directory.

    Inside, this user is `nobody`, so that exec leaves it no capability even if it was root.
    """
    uid, gid = os.getuid(), os.getgid()
    _call(libc.unshare, _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWIPC)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {uid} 1"),
        ("gid_map", f"{_NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    size = spec["limits"]["disk_bytes"]
    options = f"size={size},nr_inodes=1024,mode=700".encode()
    work_dir = spec["work_dir"].encode()
    _call(libc.mount, b"tmpfs", work_dir, b"tmpfs", _MS_NOSUID | _MS_NODEV, options)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Empties all sets; with no-new-privileges, exec as root does not fill them again."""
    header = ctypes.create_string_buffer(struct.pack("<Ii", 0x2008_0522, 0), 8)
    _call(libc.capset, header, ctypes.create_string_buffer(24))


def _restrict_files(libc: ctypes.CDLL, spec: dict) -> None:
    """Landlock: a list of what may be opened; everything else is refused."""
    abi = _call(libc.syscall, _LANDLOCK_CREATE, None, 0, 1)
    handled = max(rights for version, rights in _HANDLED_BY_ABI.items() if version <= abi)
    attributes = struct.pack("<Q", handled)
    ruleset = _call(libc.syscall, _LANDLOCK_CREATE, attributes, len(attributes), 0)
    reads = _READ_FILE | _READ_DIR | _EXECUTE
    writes = _WRITE_FILE | _TRUNCATE | _REFER
    changes = _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
    rules = [(path, reads) for path in spec["readable"]] + [
        (spec["program"], _READ_FILE),
        (spec["work_dir"], _READ_FILE | _READ_DIR | writes | changes),
    ]
    for path, rights in rules:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        if not os.path.isdir(path):
            rights &= _READ_FILE | _EXECUTE | _WRITE_FILE | _TRUNCATE
        rule = struct.pack("<Qi", rights & handled, descriptor)
        _call(libc.syscall, _LANDLOCK_ADD, ruleset, 1, rule, 0)
        os.close(descriptor)
    _call(libc.syscall, _LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _filter_calls(libc: ctypes.CDLL) -> None:
    """Installs a seccomp filter under which each forbidden call fails with EPERM."""
    if os.uname().machine not in _AUDIT_ARCHES:
        raise OSError("no table of system calls for this architecture")
    column, arch = _AUDIT_ARCHES[os.uname().machine]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, JEQ, JGE, RET
    allow, kill, refuse = 0x7FFF_0000, 0x8000_0000, 0x0005_0000 | _EPERM
    number, architecture, argument = 0, 4, 16  # offsets in struct seccomp_data
    code = [(load, 0, 0, architecture), (equal, 1, 0, arch), (give, 0, 0, kill)]
    code += [(load, 0, 0, number)]
    if arch == _AUDIT_ARCHES["x86_64"][1]:  # the x32 numbers are the same calls again
        code += [(at_least, 0, 1, 0x4000_0000), (give, 0, 0, refuse)]
    for numbers in _FORBIDDEN_CALLS.values():
        forbidden = numbers[column]
        if forbidden is not None:
            code += [(equal, 0, 1, forbidden), (give, 0, 0, refuse)]
    code += [(equal, 0, 3, _PRLIMIT64[column]), (load, 0, 0, argument)]
    code += [(equal, 1, 0, 0), (give, 0, 0, refuse), (give, 0, 0, allow)]
    packed = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
    program = _FilterProgram(len(code), packed)
    _call(libc.prctl, _PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0)


if __name__ == "__main__":
    main()
