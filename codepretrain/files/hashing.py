"""SHA-256 of files, parts of files, bytes and JSON values, as 64 hexadecimal digits."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from codepretrain.files.storage import THREADS, StrPath, read_chunks
from codepretrain.progress_pipe import PROGRESS


def sha256_bytes(content: bytes) -> str:
    """Returns the hash of bytes in memory."""
    return hashlib.sha256(content).hexdigest()


def sha256_json(contents: Mapping[str, Any]) -> str:
    """Returns a hash that changes with every key and value of `contents`, not with their order.

    Raises:
      ValueError: a float is not finite.
      TypeError: a value is not a JSON value.
    """
    canonical = json.dumps(contents, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256_bytes(canonical.encode())


def sha256_file(path: StrPath) -> str:
    """Returns the hash of a whole file, read in chunks. Raises MissingFileError without one."""
    digest = hashlib.sha256()
    for chunk in read_chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def sha256_files(paths: Iterable[StrPath]) -> list[str]:
    """Returns the hash of each file, several at a time: reading and hashing release the GIL."""
    with ThreadPoolExecutor(THREADS) as pool:
        hashes = []
        for digest in pool.map(sha256_file, paths):
            hashes.append(digest)
            PROGRESS.count()
        return hashes
