"""Atomic file writes: a reader, also after a crash, sees the old file or the new one.

Locally the bytes go to a temporary file next to the target, are synced to disk, and the file is
renamed; the folder is synced too, so the new name survives a power loss. In an object store one
PUT replaces the object, and the library compares the store's checksum with its own.
"""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from codepretrain.files.explain import explained
from codepretrain.files.json_values import plain
from codepretrain.files.object_path import filesystem
from codepretrain.files.storage import MissingFileError, StrPath, is_file, is_local, read_bytes

_REFUSALS = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")


def write_bytes(path: StrPath, content: bytes) -> None:
    """Replaces `path` by `content`, and makes its folder if needed.

    Raises:
      UserError: no space, no permission, a parent that is a file, or the store refuses.
    """
    with explained("write", path):
        if is_local(path):
            _write_local(path, content)
        else:
            fs, key = filesystem(path)
            fs.pipe_file(key, content)


def write_text(path: StrPath, text: str) -> None:
    """Replaces `path` by `text` in UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: StrPath, value: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Replaces `path` by a JSON object, whose numbers `json_values.decode` gives back exactly."""
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def create(path: StrPath, content: bytes) -> bool:
    """Writes `path` if there is no such file, and returns whether this call created it.

    Of several processes that try, one gets True. A store's library may retry a request whose
    answer was lost, and then find its own object: so each process must write different bytes.
    """
    with explained("write", path):
        if is_local(path):
            return _create_local(path, content)
        if is_file(path):  # some stores ignore the condition of the request below
            return False
        fs, key = filesystem(path)
        try:
            fs.pipe_file(key, content, mode="create")
        except OSError as error:
            if not _is_refused(error):
                raise
            try:
                return read_bytes(path) == content
            except MissingFileError:  # another process's request is under way, or it failed
                return False
    return True


def _is_refused(error: OSError) -> bool:
    """Returns whether the store reports that the object exists or is being written by another."""
    if isinstance(error, FileExistsError):
        return True
    response = getattr(error.__cause__, "response", None) or {}  # of s3fs, from botocore
    return response.get("Error", {}).get("Code") in _REFUSALS


def _write_local(path: StrPath, content: bytes) -> None:
    temporary = _write_beside(path, content)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync(os.path.dirname(path))


def _create_local(path: StrPath, content: bytes) -> bool:
    temporary = _write_beside(path, content)
    try:
        _give_name(temporary, path)
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    sync(os.path.dirname(path))
    return True


def _give_name(temporary: str, path: StrPath) -> None:
    """Names the file `path`. Raises FileExistsError if there is one already."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links: on FAT, or in a bucket that is mounted as a folder
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.replace(temporary, path)


def _write_beside(path: StrPath, content: bytes) -> str:
    folder, name = os.path.split(os.fspath(path))
    make_folders(folder)
    temporary = os.path.join(folder, f".{short_name(name)}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return temporary


def make_folders(folder: StrPath) -> None:
    """Makes a local folder and its parents, and syncs the names of the new ones to disk."""
    new, parent = [], os.fspath(folder) or "."
    while not os.path.lexists(parent):
        new.append(parent)
        parent = os.path.dirname(parent) or "."
    os.makedirs(folder or ".", exist_ok=True)
    for made in new:
        sync(os.path.dirname(made))


def short_name(name: str) -> str:
    """Returns a name cut to 100 bytes, to be part of a longer one: 255 bytes are the limit."""
    return os.fsencode(name)[:100].decode(errors="ignore")


def sync(path: StrPath) -> None:
    """Syncs a local file, or the names in a local folder, to disk."""
    descriptor = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
