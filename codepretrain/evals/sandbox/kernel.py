"""Linux system calls that Python does not wrap.

Part of the process that becomes the program, so it imports as little as it can.
"""

import ctypes
import os

# PyDLL holds the interpreter's lock during a call: nothing may run between `clone` and its return.
_LIBC = ctypes.PyDLL(None, use_errno=True)

# name: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h.
NUMBERS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "capset": (126, 91),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
ARCHITECTURES = ("x86_64", "aarch64")


def system_call(name: str, *arguments: object) -> int:
    """Makes the system call `name` of `NUMBERS` by its number.

    Raises:
      OSError: it failed, or this architecture has no number for it here.
    """
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise OSError(f"the sandbox knows no system calls of {machine}")
    number = NUMBERS[name][ARCHITECTURES.index(machine)]
    return _checked(name, _LIBC.syscall(ctypes.c_long(number), *map(_as_long, arguments)))


def libc_call(name: str, *arguments: object) -> int:
    """Calls the C library's function `name`. Raises OSError if it returns a negative number."""
    return _checked(name, getattr(_LIBC, name)(*map(_as_long, arguments)))


def _as_long(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
