"""Error messages for failures of a file system or an object store."""

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from codepretrain.errors import PassingError, UserError

FULL = (errno.ENOSPC, errno.EDQUOT)

_CHOOSE = "choose a folder that you may write to"
_REMEDIES = {
    errno.ENOSPC: "free some space and rerun the same command: finished parts are kept",
    errno.EDQUOT: "raise the quota and rerun the same command: finished parts are kept",
    errno.EFBIG: "raise the limit of file sizes (`ulimit -f`), or choose another file system",
    errno.EIO: "check the disk or the connection to it, and rerun the same command",
    errno.EACCES: "check its permissions, or choose another path",
    errno.EPERM: "check its permissions, or choose another path",
    errno.EROFS: _CHOOSE,
    errno.ENOENT: _CHOOSE,
    errno.ENOTDIR: "one of its parents is a file: choose another path",
    errno.EEXIST: "one of its parents is a file: choose another path",
    errno.EISDIR: "it is a folder and a file is expected: choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "its symbolic links form a loop: choose another path",
}
_LASTING = _REMEDIES.keys() - {errno.EIO}
_STORE_LIBRARIES = {"gcsfs", "s3fs", "google", "aiohttp", "botocore", "aiobotocore", "requests"}
# What NumPy raises, without an error number, when an array is written in part.
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
_MAX_SHOWN = 300


def shown(path: str | os.PathLike[str]) -> str:
    """Returns a path as messages show it: whole, unless it is very long."""
    text = os.fspath(path)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


@contextmanager
def explained(
    action: str, path: str | os.PathLike[str], *, only: Collection[int] | None = None
) -> Iterator[None]:
    """Turns a system error within the block into a UserError: `cannot <action> <path>: …`.

    It is a PassingError for those that another try may not meet.

    Other exceptions pass. RuntimeErrors count if they quote the system's message, as those of the
    ArrayRecord and safetensors writers do.

    Args:
      only: the system's error numbers that are explained; by default all, and those of stores.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None or (only is not None and error_number(error) not in only):
            raise
        kind = UserError if is_lasting(error) else PassingError
        raise kind(f"cannot {action} {shown(path)}: {reason}") from error


def is_lasting(error: Exception) -> bool:
    """Returns whether another try would fail as well, unlike for a network or a server."""
    return isinstance(error, FileNotFoundError | PermissionError) or error_number(error) in _LASTING


def _reason(error: Exception) -> str | None:
    if isinstance(error, FileNotFoundError) and error.errno is None:  # an object store's
        return "there is no such bucket or object: check the address"
    is_store = type(error).__module__.split(".")[0] in _STORE_LIBRARIES
    code = error_number(error)
    if code is not None and not is_store:
        words = error.strerror if isinstance(error, OSError) and error.errno else None
        remedy = f"; {_REMEDIES[code]}" if code in _REMEDIES else ""
        return (words or os.strerror(code)) + remedy
    if is_store or isinstance(error, OSError):
        words = " ".join(str(error).split()) or type(error).__name__
        return f"{words[:_MAX_SHOWN]}; check the address, your credentials and the network"
    return None


def error_number(error: BaseException) -> int | None:
    """Returns the system's error number, also of a RuntimeError that quotes its message.

    A partial write of NumPy counts as a full disk.
    """
    if isinstance(error, OSError):
        return errno.ENOSPC if _SHORT_WRITE.fullmatch(str(error)) else error.errno
    if isinstance(error, RuntimeError):
        return next((code for code in _REMEDIES if os.strerror(code) in str(error)), None)
    return None
