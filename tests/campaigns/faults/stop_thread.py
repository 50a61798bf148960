"""`python -m tests.campaigns.faults.stop_thread PID`: stops the main thread of a process by ptrace.

All other threads go on, so the process is alive to everyone. A thread that holds Python's lock
would stop them too: the main thread is stopped while it sleeps in the kernel. This program ends
with the process.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

_SEIZE, _INTERRUPT = 0x4206, 0x4207  # <linux/ptrace.h>
_ALL = 0x40000000  # __WALL


def main(pid: int) -> None:
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    while Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        time.sleep(0.0001)
    for request in (_SEIZE, _INTERRUPT):
        if ptrace(request, pid, None, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, _ALL)
    print("stopped", flush=True)
    while not os.WIFSIGNALED(os.waitpid(pid, _ALL)[1]):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
