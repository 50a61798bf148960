"""Checks that a folder is writable before anything is computed."""

import errno
import os
import secrets

from codepretrain.files.explain import explained
from codepretrain.files.object_path import filesystem
from codepretrain.files.storage import StrPath, is_local


def check_writable(folder: StrPath, *, name: str = "path") -> None:
    """Checks that files can be written below a folder, by writing and removing one.

    A local folder that does not exist is not made: the file is written into the nearest parent.

    Raises:
      UserError: no permission, no such bucket, no credentials, no network, or a parent is a file.
    """
    with explained(f"write to {name}", folder):
        if is_local(folder):
            probe = os.path.join(_nearest_folder(os.fspath(folder)), _probe_name())
            with open(probe, "xb"):
                pass
            os.unlink(probe)
        else:
            fs, key = filesystem(os.path.join(folder, _probe_name()))
            fs.pipe_file(key, b"-")
            fs.rm_file(key)


def _probe_name() -> str:
    return f".writable-{secrets.token_hex(8)}"


def _nearest_folder(folder: str) -> str:
    """Returns a local folder if it exists, otherwise the nearest parent that does."""
    try:
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return _nearest_folder(os.path.dirname(folder))
    if not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    return folder
