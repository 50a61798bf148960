"""The system calls that a sandboxed program may make, as a seccomp filter.

The list holds what an interpreter needs to compute, to use files in its own directory and to wait.
All other calls fail with EPERM; calls newer than the table fail with ENOSYS, so a newer C library
falls back to the older call. A call with many functions is allowed only with the arguments in
`_CONDITIONS`. A call through another calling convention (32-bit, x32) kills the program.

Excluded on purpose, although harmless programs use them: `pipe` and `socketpair` (they pin kernel
memory), `chmod` and its family (Landlock does not govern metadata), `flock` and locks by `fcntl`
(a lock on a system library holds up other users), `fsync` (of the host's file it flushes the
host's disk), `truncate` by path (Landlock governs it only since Linux 6.2).
"""

import errno
import functools
import os
import struct

from codepretrain.evals.sandbox.kernel import ARCHITECTURES

# name: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h.
ALLOWED_CALLS: dict[str, tuple[int, int | None]] = {
    # files
    "openat": (257, 56),
    "open": (2, None),
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "lseek": (8, 62),
    "ftruncate": (77, 46),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    # names
    "fstat": (5, 80),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "umask": (95, 166),
    # memory
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    # signals to itself and waiting
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132),
    "pause": (34, None),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "restart_syscall": (219, 128),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    # clocks
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "nanosleep": (35, 101),
    "times": (100, 153),
    # itself
    "execve": (59, 221),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "arch_prctl": (158, None),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "prlimit64": (302, 261),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sched_getaffinity": (204, 123),
    "getrandom": (318, 278),
    "uname": (63, 160),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "getpgrp": (111, None),
}
NEWEST_KNOWN_CALL = 450


class _In(tuple[int, ...]):
    """The argument is one of these."""


class _Lacks(int):
    """The argument has none of these bits."""


_Test = tuple[int, _In | _Lacks]  # the position of the argument, and what must hold for it

_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL = 0, 1, 2, 3, 4
_F_DUPFD_CLOEXEC, _F_GETPIPE_SZ = 1030, 1032
_O_ASYNC = 0x2000  # with F_SETFL: signals to whomever F_SETOWN names
_FCNTL = _In((_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC, _F_GETPIPE_SZ))

_TCGETS, _TCGETS2, _TIOCGWINSZ, _FIONREAD = 0x5401, 0x802C_542A, 0x5413, 0x541B
_FIONBIO, _FIOCLEX, _FIONCLEX = 0x5421, 0x5451, 0x5450
_IOCTL = _In((_TCGETS, _TCGETS2, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIOCLEX, _FIONCLEX))

_MAP_LOCKED, _MAP_HUGETLB = 0x2000, 0x40000  # huge pages come from a pool of the whole machine
_MADVISE = _In((0, 1, 2, 4, 8, 14, 15))  # hints on reading, DONTNEED, FREE, huge pages or not

# Private only: a futex in a shared mapping, such as a system library's, is one for all processes.
_FUTEX_PRIVATE, _FUTEX_CLOCK_REALTIME = 128, 256
_FUTEX_OPERATIONS = (0, 1, 3, 4, 9, 10)  # WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAIT_ and WAKE_BITSET
_FUTEX = _In(
    operation | flags
    for operation in _FUTEX_OPERATIONS
    for flags in (_FUTEX_PRIVATE, _FUTEX_PRIVATE | _FUTEX_CLOCK_REALTIME)
)

_ARCH_PRCTL = _In((0x1002, 0x1003))  # ARCH_SET_FS, ARCH_GET_FS: thread-local storage
_ITSELF = _In((0,))
_RLIMIT_CORE = 4  # must stay as it is: with 0 a crash starts the host's crash handler
_RLIMITS = _In(kind for kind in range(16) if kind != _RLIMIT_CORE)
_OWN_CLOCKS = _In(range(12))  # larger numbers are clocks of other processes and of devices

# A call is allowed if all tests of any one alternative hold. Arguments are compared by their low 32
# bits, which are all that the kernel reads of these.
_CONDITIONS: dict[str, tuple[tuple[_Test, ...], ...]] = {
    "fcntl": (((1, _FCNTL),), ((1, _In((_F_SETFL,))), (2, _Lacks(_O_ASYNC)))),
    "ioctl": (((1, _IOCTL),),),
    "mmap": (((3, _Lacks(_MAP_LOCKED | _MAP_HUGETLB)),),),
    "madvise": (((2, _MADVISE),),),
    "futex": (((1, _FUTEX),),),
    "prlimit64": (((0, _ITSELF), (1, _RLIMITS)),),
    "sched_getaffinity": (((0, _ITSELF),),),
    "arch_prctl": (((0, _ARCH_PRCTL),),),
    "clock_gettime": (((0, _OWN_CLOCKS),),),
    "clock_getres": (((0, _OWN_CLOCKS),),),
    "clock_nanosleep": (((0, _OWN_CLOCKS),),),
}

_AUDIT_ARCHITECTURES = (0xC000_003E, 0xC000_00B7)
_X32_BIT = 0x4000_0000
# Classic BPF: load a word of struct seccomp_data; jumps; return.
_LOAD, _JUMP, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, constant


@functools.cache
def filter_program() -> bytes | None:
    """Returns the filter for this machine's architecture as an array of struct sock_filter.

    None if the table has no column for the architecture.
    """
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        return None
    column = ARCHITECTURES.index(machine)
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCHITECTURES[column]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
    ]
    for name, numbers in ALLOWED_CALLS.items():
        number = numbers[column]
        if number is not None:
            block = _conditional(name) if name in _CONDITIONS else [(_RETURN, 0, 0, _ALLOW)]
            code += [(_IF_EQUAL, 0, len(block), number), *block]
    code += [
        (_IF_AT_LEAST, 0, 1, NEWEST_KNOWN_CALL + 1),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _conditional(name: str) -> list[_Instruction]:
    """Returns the tests of a call's alternatives, each followed by "allow", then "refuse"."""
    block: list[_Instruction] = []
    for tests in _CONDITIONS[name]:
        rest: list[_Instruction] = [(_RETURN, 0, 0, _ALLOW)]
        for position, condition in reversed(tests):
            load = (_LOAD, 0, 0, _ARGUMENTS + 8 * position)
            otherwise = (_JUMP, 0, 0, len(rest))
            if isinstance(condition, _In):
                count = len(condition)
                checks = [(_IF_EQUAL, count - i, 0, value) for i, value in enumerate(condition)]
            else:
                checks = [(_IF_ANY_BIT, 0, 1, int(condition))]
            rest = [load, *checks, otherwise, *rest]
        block += rest
    return [*block, (_RETURN, 0, 0, _FAIL | errno.EPERM)]
