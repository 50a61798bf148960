"""Why a command ends, in the terms of a supervisor (`launch/records.py`)."""

import errno
import re
import signal
from typing import NamedTuple

from codepretrain.errors import PeerError, PeerStopped, UserError
from codepretrain.peers import LOST_CODE

_SIGNALED = tuple(128 + number for number in (signal.SIGINT, signal.SIGTERM))
# The status code of XLA; gRPC and Cloud Storage use it for quotas and message sizes too. And what
# XLA says of memory, on devices and of hosts.
_EXHAUSTED = "RESOURCE_EXHAUSTED"
_OF_MEMORY = re.compile(r"out of memory|failed to allocate|attempting to (allocate|reserve)", re.I)
# The file system refused: the path is wrong, not the program.
REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


class Cause(NamedTuple):
    """A cause, and whether this process ends only because another one of the run did."""

    name: str
    is_cascade: bool = False


def cause_of(error: BaseException | None) -> Cause:
    """Returns the cause for the exception that ends a command; None is its success."""
    if error is None:
        return Cause("done")
    if isinstance(error, UserError):
        return Cause(error.cause, error.is_cascade)
    if isinstance(error, PeerStopped):
        return Cause(cause_of_code(error.exit_code), is_cascade=True)
    if isinstance(error, SystemExit):
        return Cause(cause_of_code(error.code if isinstance(error.code, int | None) else 1))
    if isinstance(error, KeyboardInterrupt):
        return Cause("preemption")
    if isinstance(error, MemoryError) or _is_of_memory(str(error)):
        return Cause("out_of_memory")
    if isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            return Cause("out_of_memory")
        if error.errno in REFUSALS:
            return Cause("user_error")
    return Cause("crash", is_cascade=isinstance(error, PeerError))


def _is_of_memory(message: str) -> bool:
    _, found, what = message.partition(_EXHAUSTED)
    return bool(found) and _OF_MEMORY.search(what) is not None


def cause_of_code(code: int | None) -> str:
    """Returns what an exit code says; `cause_of` knows more."""
    if not code:
        return "done"
    if code in _SIGNALED:
        return "preemption"
    return {2: "user_error", LOST_CODE: "lost_host"}.get(code, "crash")
