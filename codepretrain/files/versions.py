"""Tells whether a file is still the one that it was, without reading it where possible."""

import os
import stat
from dataclasses import dataclass

from codepretrain.errors import UserError
from codepretrain.files.explain import explained
from codepretrain.files.hashing import sha256_bytes, sha256_file
from codepretrain.files.object_path import filesystem
from codepretrain.files.storage import StrPath, is_local

# What stores state about an object's contents, most specific first.
_STORE_CHECKSUMS = ("md5Hash", "crc32c", "ETag", "etag", "generation")


@dataclass(frozen=True)
class Version:
    """What is known of a file without reading it.

    stamp: changes whenever the file may have changed, and with its location. checksum: of its
    contents, as its store states it; None if the contents must be read, "" if they cannot be.
    """

    size: int
    stamp: str
    checksum: str | None = None


def file_version(path: StrPath) -> Version:
    """Returns the version of a file; one that is missing or not a regular file has size 0.

    Raises:
      UserError: the store refuses.
    """
    if is_local(path):
        return _local_version(os.path.realpath(path))
    fs, key = filesystem(path)
    with explained("look up", path):
        try:
            info = fs.info(key)
        except FileNotFoundError:
            return Version(0, "missing", "")
    stated = next((name for name in _STORE_CHECKSUMS if info.get(name)), None)
    created = info.get("created") or info.get("LastModified") or info.get("mtime")
    checksum = None if stated is None else f"{stated}:{info[stated]}"
    return Version(info["size"], _stamp(str(path), info["size"], created, checksum), checksum)


def contents_checksum(path: StrPath, version: Version) -> str:
    """Returns a checksum of the contents: the store's, or the SHA-256 of what is read."""
    if version.checksum is not None:
        return version.checksum
    try:
        return f"sha256:{sha256_file(path)}"
    except UserError:  # readers count a file that cannot be read as skipped
        return ""


def _local_version(path: str) -> Version:
    try:
        found = os.stat(path)
    except OSError:
        return Version(0, "missing", "")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
        return Version(0, "not a regular file", "")
    # The time of the inode's last change, because tools that copy files set that of the contents.
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return Version(found.st_size, _stamp(path, found.st_size, *times))


def _stamp(*parts: object) -> str:
    return sha256_bytes("\0".join(map(str, parts)).encode(errors="surrogateescape"))[:32]
