"""The file that another process writes its output to."""

import os
from typing import BinaryIO

from codepretrain.files.explain import explained
from codepretrain.files.storage import MissingFileError, StrPath, is_local

_TAIL_BYTES = 8192


def open_log(path: StrPath) -> BinaryIO:
    """Opens a local file for appending, unbuffered, and makes its folder.

    Raises:
      UserError: the file system refuses.
    """
    assert is_local(path), path
    with explained("write", path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "ab", buffering=0)


def log_size(path: StrPath) -> int:
    """Returns the size of a local file, 0 if there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def read_log(path: StrPath, *, max_bytes: int) -> bytes:
    """Returns a local file; of a longer one its beginning and its end, a line between them.

    Raises:
      MissingFileError: there is no such file.
      UserError: the file system refuses.
    """
    with explained("read", path):
        try:
            with open(path, "rb") as file:
                length = file.seek(0, os.SEEK_END)
                file.seek(0)
                if length <= max_bytes:
                    return file.read(max_bytes)
                head = file.read(max_bytes // 4)
                file.seek(length - (max_bytes - len(head)))
                omitted = f"\n… {length - max_bytes:,} bytes are left out …\n".encode()
                return head + omitted + file.read(max_bytes - len(head))
        except FileNotFoundError as error:
            raise MissingFileError(f"there is no file {os.fspath(path)}") from error


def last_line(path: StrPath) -> str:
    """Returns the last line of a local file that is not blank, empty if there is none."""
    try:
        with open(path, "rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
