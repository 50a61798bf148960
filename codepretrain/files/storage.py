"""Parses addresses (local paths or object stores); reads, lists and removes files.

Every function takes a local path or one that `parse` returned, and raises a `UserError` that names
the path if the file system or the store fails. A folder of an object store exists while it contains
an object.
"""

import json
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from etils import epath

from codepretrain.errors import DamageError, UserError
from codepretrain.files.explain import explained, shown
from codepretrain.files.object_path import PACKAGES, filesystem, split_scheme

StrPath = str | os.PathLike[str]

CHUNK_BYTES = 8 * 2**20
THREADS = 8

_SINGLE_SLASH = re.compile(r"(gs|s3):/[^/]")
_RESERVED_ROOTS = ("/gs", "/s3", "/az", "/hf")  # epath takes these folders for object stores


class MissingFileError(UserError):
    """There is no such file."""


def parse(
    address: StrPath, *, name: str = "path", schemes: tuple[str, ...] = ("gs", "s3")
) -> epath.Path:
    """Returns the path of an address: absolute if local, normalized, `~` expanded.

    Only parses the address; `writable.check_writable` accesses the file system or the store.

    Args:
      name: the option that gave the address (`--workdir`), for messages.
      schemes: those that the option supports, for messages.

    Raises:
      UserError: an unsupported scheme, no bucket, or the scheme's package is not installed.
    """
    text = os.fspath(address)
    if not text or "\0" in text:
        raise UserError(f"{name}: expected a path, found {text[:60]!r}")
    if _SINGLE_SLASH.match(text):
        raise UserError(f"{name} {shown(text)}: expected two slashes after the scheme, as in gs://")
    scheme, rest = split_scheme(text)
    if not scheme:
        return _local(text, name)
    if scheme not in PACKAGES:
        expected = " or ".join(f"{known}://" for known in schemes)
        expected = f"a local path{',' if len(schemes) > 1 else ' or'} {expected}"
        raise UserError(f"{name} {shown(text)}: expected {expected}, found {scheme[:60]}://")
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise UserError(f"{name} {shown(text)}: expected {scheme}://BUCKET/FOLDER, found no bucket")
    package = PACKAGES[scheme]
    if find_spec(package) is None:
        extra = {"gs": "gcs", "s3": "s3"}[scheme]
        raise UserError(
            f"{name} {shown(text)}: the package `{package}` is not installed: run "
            f"`pip install 'codepretrain[{extra}]'`, or choose a local path"
        )
    return epath.Path(f"{scheme}://{bucket}{posixpath.normpath('/' + key).rstrip('/')}")


def _local(text: str, name: str) -> epath.Path:
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise UserError(f"{name} {shown(text)}: there is no user {text.split('/')[0][1:60]!r} here")
    try:
        absolute = os.path.abspath(expanded)
    except FileNotFoundError as error:
        raise UserError(
            f"{name} {shown(text)}: the current directory was deleted: change to another one"
        ) from error
    if any("\udc80" <= character <= "\udcff" for character in absolute):  # bytes that are not UTF-8
        raise UserError(
            f"{name} {shown(absolute)}: expected a path in UTF-8: rename the folder, or choose "
            "another path"
        )
    if any(f"{absolute}/".startswith(f"{root}/") for root in _RESERVED_ROOTS):
        raise UserError(
            f"{name} {shown(text)}: local folders /gs, /s3, /az and /hf are not supported"
        )
    return epath.Path(absolute)


def is_local(path: StrPath) -> bool:
    """Returns whether a path is on a local file system."""
    return not split_scheme(path)[0]


def make_folder(path: StrPath) -> None:
    """Makes a local folder and its parents; object stores need none."""
    if is_local(path):
        with explained("make the folder", path):
            os.makedirs(path, exist_ok=True)


def exists(path: StrPath) -> bool:
    """Returns whether there is a file or a folder."""
    return _kind(path) is not None


def is_file(path: StrPath) -> bool:
    """Returns whether there is a file."""
    return _kind(path) == "file"


def is_dir(path: StrPath) -> bool:
    """Returns whether there is a folder."""
    return _kind(path) == "directory"


def _kind(path: StrPath) -> str | None:
    if is_local(path):
        return "directory" if os.path.isdir(path) else "file" if os.path.exists(path) else None
    fs, key = filesystem(path)
    with explained("look up", path):
        try:
            return fs.info(key)["type"]
        except FileNotFoundError:
            return None


def size(path: StrPath) -> int:
    """Returns a file's size in bytes."""
    with _reading(path):
        if is_local(path):
            return os.stat(path).st_size
        fs, key = filesystem(path)
        info = fs.info(key)
        if info["type"] != "file":
            raise FileNotFoundError(key)
        return int(info["size"])


def read_bytes(path: StrPath) -> bytes:
    """Returns a whole file. Raises MissingFileError if there is none."""
    with _reading(path):
        if is_local(path):
            with open(path, "rb") as file:
                return file.read()
        fs, key = filesystem(path)
        return fs.cat_file(key)


def read_range(path: StrPath, start: int, stop: int) -> bytes:
    """Returns the bytes from `start` up to `stop`, fewer if the file ends before `stop`."""
    if start >= stop:
        return b""
    with _reading(path):
        if is_local(path):
            with open(path, "rb") as file:
                file.seek(start)
                return file.read(stop - start)
        fs, key = filesystem(path)
        return fs.cat_file(key, start=start, end=stop)


def read_chunks(path: StrPath) -> Iterator[bytes]:
    """Yields a file in order, in pieces of `CHUNK_BYTES`; reads ahead in an object store."""
    if is_local(path):
        with _reading(path), open(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        return
    starts = range(0, size(path), CHUNK_BYTES)
    with ThreadPoolExecutor(2) as pool:
        ahead = [pool.submit(read_range, path, s, s + CHUNK_BYTES) for s in starts[:2]]
        for start in starts:
            chunk = ahead.pop(0).result()
            after = start + 2 * CHUNK_BYTES
            if after in starts:
                ahead.append(pool.submit(read_range, path, after, after + CHUNK_BYTES))
            yield chunk


def read_text(path: StrPath) -> str:
    """Returns a whole file as text. Raises UserError if it is missing or not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{shown(path)} is not UTF-8 text: {error.reason} at {error.start}"
        ) from error


def read_json(path: StrPath, *, remedy: str = "restore or delete the file") -> dict[str, Any]:
    """Returns the JSON object in a file.

    Args:
      remedy: the fix for a damaged file, for the message.

    Raises:
      MissingFileError: there is no such file.
      UserError: it is not JSON, or it is a list, a number, a string or null.
    """
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise DamageError(f"{shown(path)} is damaged: not JSON ({error}); {remedy}") from error
    if not isinstance(value, dict):
        found = json.dumps(value)[:60]
        raise DamageError(
            f"{shown(path)} is damaged: expected a JSON object, found {found}; {remedy}"
        )
    return value


def names(folder: StrPath) -> list[str]:
    """Returns the names of the files and folders in a folder, sorted; none if it is missing."""
    with explained("list", folder):
        try:
            if is_local(folder):
                return sorted(os.listdir(folder))
            fs, key = filesystem(folder)
            found = (entry.strip("/") for entry in fs.ls(key, detail=False))
            return sorted({n.rpartition("/")[2] for n in found if n != key.strip("/")})
        except FileNotFoundError:
            return []


def sizes_below(folder: StrPath) -> dict[str, int]:
    """Returns the size of every file below a folder, by relative path with forward slashes."""
    with explained("list", folder):
        if is_local(folder):
            root = os.fspath(folder)
            files = [os.path.join(top, name) for top, _, some in os.walk(root) for name in some]
            return {
                os.path.relpath(f, root).replace(os.sep, "/"): os.stat(f).st_size for f in files
            }
        fs, key = filesystem(folder)
        prefix = key.strip("/") + "/"
        found = fs.find(key, detail=True).items()
        sizes = {name.lstrip("/"): int(info["size"]) for name, info in found}
        return {n.removeprefix(prefix): s for n, s in sizes.items() if n.startswith(prefix)}


def remove(path: StrPath) -> None:
    """Removes a file if it exists."""
    with explained("remove", path):
        try:
            if is_local(path):
                os.unlink(path)
            else:
                fs, key = filesystem(path)
                fs.rm_file(key)
        except FileNotFoundError:
            pass


def remove_tree(folder: StrPath) -> None:
    """Removes a folder with everything in it, if it exists; several processes may do so at once."""
    with explained("remove", folder):
        if is_local(folder):
            while os.path.lexists(folder):
                with suppress(FileNotFoundError):  # another process has removed a file
                    shutil.rmtree(folder)
            return
        below = [os.path.join(folder, name) for name in sizes_below(folder)]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda address: remove(epath.Path(address)), below))


@contextmanager
def _reading(path: StrPath) -> Iterator[None]:
    with explained("read", path):
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingFileError(f"there is no file {shown(path)}") from error
