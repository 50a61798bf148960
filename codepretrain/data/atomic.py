"""Folders that are there whole or not at all, and what a user is told when writing fails."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codepretrain.errors import UserError

_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "raise the quota",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOTDIR: "choose a folder whose path holds no file",
    errno.EEXIST: "choose a folder whose path holds no file",
}


@contextmanager
def explained_errors(path: Path) -> Iterator[None]:
    """Turns a full disk or a folder that cannot be written into a UserError that names `path`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        code = _error_number(error)
        if code not in _HINTS:
            raise
        raise UserError(
            f"cannot write {path}: {os.strerror(code)}; {_HINTS[code]} and give the same command "
            "again: finished parts are kept"
        ) from error


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a new folder beside `path` that becomes `path` when the block ends well.

    However the block ends otherwise, `path` is not there. What an earlier, killed process left is
    removed; so the caller holds the folder (`files/lock.py`), and has found `path` absent or
    incomplete.
    """
    partial = path.with_name(f".{path.name}.partial")
    with explained_errors(path):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            for file in partial.iterdir():
                _sync(file)
            if path.exists():
                shutil.rmtree(path)
            partial.rename(path)
            _sync(path.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _error_number(error: OSError | RuntimeError) -> int | None:
    """The record writer raises RuntimeError, with the system's words in its text."""
    if isinstance(error, OSError):
        return error.errno
    return next((code for code in _HINTS if os.strerror(code) in str(error)), None)
