"""Ties this process to the one that started it."""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent(variable: str, number: int) -> None:
    """Has the system send signal `number` to this process when the one that started it ends.

    The system counts the end of the parent's thread that started this process as the parent's end.

    Args:
      variable: the environment variable in which the parent has put its pid. Does nothing without
        it, and on systems other than Linux.
    """
    if variable in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != int(os.environ[variable]):  # it has ended already
            os.kill(os.getpid(), number)
