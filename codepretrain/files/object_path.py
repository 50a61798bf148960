"""Paths in object stores: `gs://`, `s3://`, and `memory://` for tests, through fsspec.

`epath` sends `gs://` and `s3://` to TensorFlow whenever that is installed, unless the environment
is set otherwise. Importing this module registers a path class of our own for the three schemes, so
the backend does not depend on the environment or on other packages. The class also corrects three
behaviors of epath's own fsspec backend: its `walk` drops the scheme, `makedirs` may create a
bucket, and listings are cached for the life of the process, which hides other processes' writes.

Retries and timeouts are those of the libraries. gcsfs repeats a request up to 5 times after errors
408, 429, 500 to 504 and after connection errors, with waits of 1, 2, 4, 8 and 16 s plus up to 1 s;
without the timeouts set here a stalled connection would hang forever. s3fs repeats up to 5 times
within about 2 s, on top of botocore's own retries (its timeouts are 60 s).
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
from etils import epath
from etils.epath import backend as epath_backend
from etils.epath import gpath

PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "memory": "fsspec"}

_CONNECT_TIMEOUT_S = 30
_READ_TIMEOUT_S = 120  # of silence, not of the whole request


def split_scheme(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Returns scheme and the rest; the scheme of a local path is empty."""
    scheme, separator, rest = os.fspath(path).partition("://")
    return (scheme, rest) if separator else ("", scheme)


def filesystem(path: str | os.PathLike[str]) -> tuple[Any, str]:
    """Returns the fsspec file system of a path in an object store, and the path's key in it.

    fsspec keeps one instance per process and set of options, and makes new ones after a fork; so
    call this again instead of holding the result.
    """
    scheme, key = split_scheme(path)
    return fsspec.filesystem(scheme, **_options(scheme)), key


def _options(scheme: str) -> dict[str, Any]:
    if scheme == "gs":
        import aiohttp  # comes with gcsfs

        logger = logging.getLogger("gcsfs")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)  # it logs a traceback of errors that we report
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S
        )
        # md5: the hash that the store computed is compared with that of the bytes sent.
        return {"use_listings_cache": False, "requests_timeout": timeout, "consistency": "md5"}
    if scheme == "s3":
        return {"use_listings_cache": False}  # botocore sends a checksum that the store verifies
    return {}


class _ObjectStoreBackend(epath_backend._FileSystemSpecBackend):
    """epath's fsspec backend with our file systems and whole addresses."""

    def fs(self, path: str | os.PathLike[str]) -> Any:
        return filesystem(path)[0]

    def listdir(self, path: str | os.PathLike[str]) -> list[str]:
        own = split_scheme(path)[1].strip("/")
        names = (name.strip("/") for name in self.fs(path).ls(path, detail=False))
        return [name.rpartition("/")[2] for name in names if name != own]

    def glob(self, path: str | os.PathLike[str]) -> list[str]:
        scheme, _ = split_scheme(path)
        return [f"{scheme}://{name.lstrip('/')}" for name in self.fs(path).glob(path)]

    def walk(
        self,
        top: str | os.PathLike[str],
        *,
        top_down: bool = True,
        on_error: Callable[[OSError], object] | None = None,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        scheme, _ = split_scheme(top)
        walked = self.fs(top).walk(top, topdown=top_down, on_error=on_error or "omit")
        for root, folders, files in walked:
            yield f"{scheme}://{root.lstrip('/')}", folders, files

    def makedirs(
        self, path: str | os.PathLike[str], *, exist_ok: bool = False, mode: int | None = None
    ) -> None:
        """Object stores have no folders; a folder exists while an object is below it."""
        if not exist_ok and self.exists(path):
            raise FileExistsError(os.fspath(path))

    def mkdir(
        self, path: str | os.PathLike[str], *, exist_ok: bool = False, mode: int | None = None
    ) -> None:
        self.makedirs(path, exist_ok=exist_ok, mode=mode)


_BACKEND = _ObjectStoreBackend()


def _with_root(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns `memory://x` as `/memory/x`, as epath does for the schemes that it knows."""
    whole = "/".join(os.fspath(part) for part in parts)
    return ("/memory/" + whole.removeprefix("memory://"),) if "memory://" in whole[:9] else parts


@epath.register_path_cls(tuple(f"{scheme}://" for scheme in PACKAGES))
class ObjectPath(gpath.PosixGPath):
    """A path in an object store; what `epath.Path("gs://…")` returns once this is imported."""

    if sys.version_info < (3, 12):

        def __new__(cls, *parts: Any) -> "ObjectPath":
            return super().__new__(cls, *_with_root(parts))

    else:

        def __init__(self, *parts: Any) -> None:
            super().__init__(*_with_root(parts))

    @property
    def _uri_scheme(self) -> str | None:
        is_address = len(self.parts) >= 2 and self.parts[0] == "/" and self.parts[1] in PACKAGES
        return self.parts[1] if is_address else None

    @property
    def _backend(self) -> epath_backend.Backend:
        return _BACKEND
