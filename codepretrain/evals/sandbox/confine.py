"""The process that becomes the program: drops its privileges, then executes the interpreter.

It is single-threaded, and the program cannot undo what is set up here. Each layer is independent;
the first one that this machine does not grant is reported, and the supervisor decides.
"""

import ctypes
import os
import resource
import struct
import sys

from codepretrain.evals.sandbox import kernel, private_root
from codepretrain.evals.sandbox.memory_cgroup import MemoryCgroup

# For annotations only; the real imports would cost a quarter of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

NOBODY = 65534
PROCEED, PROCEED_AS_NOBODY = b"p", b"n"
READY = b"+"

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SIGKILL = 9

# Landlock's access rights, by the ABI version that brought them (linux/landlock.h).
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_HANDLED_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_SINCE_ABI, _BIND_AND_CONNECT = 4, 0b11
_SCOPES_SINCE_ABI, _SOCKETS_AND_SIGNALS = 6, 0b11


def become_program(
    spec: "dict[str, Any]",
    layers: "list[str]",
    folder: str | None,
    group: MemoryCgroup | None,
    proceed: int,
    report: int,
) -> "NoReturn":
    """Applies the layers and executes the program. Never returns.

    Args:
      spec: what `launch.py` sends.
      layers: those to apply.
      folder: on the host, with the program and its directory; None with a private root.
      group: the memory cgroup, if there is one.
      proceed: a pipe that tells when the identity of this process is set up.
      report: a pipe for `READY`, or a layer that failed and why.
    """
    try:
        _confine(spec, layers, folder, group, proceed, report)
    except _LayerError as error:
        os.write(report, f"{error.layer}\n{error.reason}".encode(errors="replace"))
    except BaseException as error:
        os.write(report, f"\n{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(1)


class _LayerError(Exception):
    def __init__(self, layer: str, error: Exception) -> None:
        self.layer = layer
        self.reason = str(error)


def _confine(
    spec: "dict[str, Any]",
    layers: "list[str]",
    folder: str | None,
    group: MemoryCgroup | None,
    proceed: int,
    report: int,
) -> None:
    os.setpgid(0, 0)
    _die_with_supervisor()
    message = os.read(proceed, 1)
    if not message:  # the supervisor gave up
        return
    if folder is None:
        program, work, stdin = private_root.PROGRAM, private_root.WORK, private_root.STDIN
    else:
        program, work, stdin = f"{folder}/program.py", f"{folder}/work", os.devnull
    steps: list[tuple[str, Callable[[], None]]] = [
        ("memory_cgroup", lambda: _enter_cgroup(group)),
        ("namespaces", lambda: _enter_private_root(spec, message)),
        ("capabilities", _drop_capabilities),
        ("limits", lambda: _set_limits(spec["limits"])),
        ("landlock", lambda: _restrict_files(spec["readable"], program, work, stdin)),
        ("seccomp", lambda: _filter_calls(spec["filter"])),
    ]
    if sys.platform == "linux":
        kernel.libc_call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for name, apply in steps:
        if name == "landlock":  # before anything is closed to this process
            _die_with_supervisor()  # a change of user has reset it
            _replace_stdin(stdin, spec["input_fd"])
            os.chdir(work)
        if name in layers:
            try:
                apply()
            except (OSError, ValueError) as error:
                raise _LayerError(name, error) from error
    # Environment and switches replace `-I`, which would ignore the fixed hash seed: sets print in
    # the same order each time. No site-packages, no script directory on the path.
    interpreter = spec["interpreter"]
    arguments = [interpreter, "-s", "-P", "-S", "-B", "-X", "utf8", program]
    os.write(report, READY)
    os.execve(interpreter, arguments, {"PYTHONHASHSEED": "0"})


def _die_with_supervisor() -> None:
    if sys.platform == "linux":
        kernel.libc_call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def _enter_cgroup(group: MemoryCgroup | None) -> None:
    assert group is not None
    if group.version == 1:
        group.enter()


def _replace_stdin(path: str, input_fd: int | None) -> None:
    """Makes the standard input the evaluator's pipe, or an empty file."""
    descriptor = os.open(path, os.O_RDONLY) if input_fd is None else input_fd
    os.dup2(descriptor, 0)
    os.close(descriptor)


def _enter_private_root(spec: "dict[str, Any]", message: bytes) -> None:
    """Changes user after the mounts are opened: `nobody` may not reach what root may."""
    trees = private_root.open_trees(spec["readable"])
    if message == PROCEED_AS_NOBODY:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.libc_call("sethostname", b"sandbox", 7)
    private_root.enter(
        trees,
        links=spec["links"],
        hidden=spec["hidden"],
        program=spec["program"],
        disk_bytes=spec["limits"]["disk_bytes"],
    )


def _drop_capabilities() -> None:
    """Empties all sets; with no-new-privileges, exec as root does not fill them again."""
    header = ctypes.create_string_buffer(struct.pack("<Ii", 0x2008_0522, 0), 8)
    kernel.system_call("capset", header, ctypes.create_string_buffer(24))


def _set_limits(limits: "dict[str, Any]") -> None:
    """Soft limits equal hard ones: a program cannot outlive its CPU time by handling SIGXCPU."""
    wanted = {
        "RLIMIT_CPU": limits["cpu_s"],
        "RLIMIT_FSIZE": limits["file_bytes"],
        "RLIMIT_STACK": 8 << 20,  # the same recursion depth on every machine
        "RLIMIT_NOFILE": 64,
        # Not 0, which only forbids files: 1 also keeps the host's crash handler from being started.
        "RLIMIT_CORE": 1,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_SIGPENDING": 64,
        "RLIMIT_NPROC": 1,  # does not bind root, which is why seccomp refuses `fork` as well
        "RLIMIT_AS": limits["memory_bytes"],
    }
    for name, limit in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:  # some are Linux's own
            continue
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except ValueError as error:  # macOS grants no limit on address space
            if name != "RLIMIT_AS" or sys.platform == "linux":
                raise OSError(f"cannot set {name}: {error}") from error


def _restrict_files(readable: "list[str]", program: str, work: str, stdin: str) -> None:
    """Landlock: a list of what may be opened; everything else is refused.

    Where the kernel offers it, also no TCP, no socket by abstract name, and no signal to a process
    outside, through any system call.
    """
    abi = kernel.system_call("landlock_create_ruleset", None, 0, 1)
    handled = max(rights for version, rights in _HANDLED_BY_ABI.items() if version <= abi)
    attributes = struct.pack("<Q", handled)
    if abi >= _NETWORK_SINCE_ABI:
        attributes += struct.pack("<Q", _BIND_AND_CONNECT)
    if abi >= _SCOPES_SINCE_ABI:
        attributes += struct.pack("<Q", _SOCKETS_AND_SIGNALS)
    ruleset = kernel.system_call("landlock_create_ruleset", attributes, len(attributes), 0)
    reads = _READ_FILE | _READ_DIR | _EXECUTE
    writes = _WRITE_FILE | _TRUNCATE | _REFER
    changes = _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
    rules = [(path, reads) for path in readable] + [
        (program, _READ_FILE),
        (stdin, _READ_FILE),
        (os.devnull, _READ_FILE | _WRITE_FILE),
        (work, _READ_FILE | _READ_DIR | writes | changes),
    ]
    for path, rights in rules:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        if not os.path.isdir(path):
            rights &= _READ_FILE | _EXECUTE | _WRITE_FILE | _TRUNCATE
        rule = struct.pack("<Qi", rights & handled, descriptor)
        kernel.system_call("landlock_add_rule", ruleset, 1, rule, 0)
        os.close(descriptor)
    kernel.system_call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _filter_calls(code: bytes | None) -> None:
    """Installs the seccomp filter of `syscalls.py`."""
    if code is None:
        raise OSError(f"no table of system calls for {os.uname().machine}")
    program = _FilterProgram(len(code) // 8, code)
    kernel.libc_call("prctl", _PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0)
