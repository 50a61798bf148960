"""Exclusive access of one process to a folder.

On a local file system the hold is a lock that the system releases when the process ends.
In an object store it is a lease that its holder renews and that expires; see `object_lease.py`.
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from codepretrain.files.explain import explained, shown
from codepretrain.files.hold_errors import LeaseLostError, in_use
from codepretrain.files.object_lease import ObjectLease
from codepretrain.files.storage import StrPath, is_local

TTL_S = 60.0
_LOCK = ".lock"


class Lease(Protocol):
    """A held folder."""

    def check(self) -> None:
        """Raises LeaseLostError unless the folder is still held; call it before what must not
        happen twice: a checkpoint's commit, a journal's sync."""

    def release(self) -> None:
        """Releases the folder."""


@contextmanager
def exclusive(
    folder: StrPath,
    *,
    ttl_s: float = TTL_S,
    waits: bool = False,
    announce: Callable[[str], None] | None = None,
) -> Iterator[Lease]:
    """Holds `folder` for this process until the block ends.

    In an object store, a holder that does not renew its lease for `ttl_s` seconds loses it. After a
    crash on another host the next holder waits that long; after a crash on this host it need not.

    Args:
      waits: wait for the current holder to end; by default only to see whether it is alive.
      announce: called with a message about the holder when waiting begins.

    Raises:
      UserError: another process holds the folder.
      LeaseLostError: at the end of the block, if the lease was lost meanwhile.
    """
    lease: Lease
    if is_local(folder):
        lease = _FileLock(folder, waits=waits, announce=announce)
    else:
        lease = ObjectLease(folder, ttl_s=ttl_s, waits=waits, announce=announce)
    try:
        yield lease
        lease.check()
    finally:
        lease.release()


@contextmanager
def expiring(
    folder: StrPath,
    *,
    ttl_s: float = TTL_S,
    announce: Callable[[str], None] | None = None,
) -> Iterator[ObjectLease]:
    """As `exclusive`, with a lease that expires on a local file system too.

    A holder that is suspended, or on a host that is lost, then keeps nobody from taking over.

    Raises:
      UserError: another process holds the folder, and renews its lease.
      LeaseLostError: at the end of the block, if the lease was lost meanwhile.
    """
    lease = ObjectLease(folder, ttl_s=ttl_s, announce=announce)
    try:
        yield lease
        lease.check()
    finally:
        lease.release()


class _FileLock:
    """`flock` on `<folder>/.lock`, which holds the holder's name."""

    def __init__(
        self, folder: StrPath, *, waits: bool, announce: Callable[[str], None] | None
    ) -> None:
        self._path = os.path.join(folder, _LOCK)
        with explained("lock", folder):
            os.makedirs(folder, exist_ok=True)
            self._file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._holder()
                if not waits:
                    self._file.close()
                    raise in_use(folder, holder) from None
                if announce is not None:
                    announce(f"{shown(folder)} is in use by {holder}: waiting for it to end")
                self._wait()
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
            self._file.flush()

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read(200).strip() or "another process"

    def _wait(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:  # a signal ended the wait
            self._file.close()
            raise

    def check(self) -> None:
        try:
            there = os.stat(self._path)
        except OSError:
            there = None
        ours = os.fstat(self._file.fileno())
        if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise LeaseLostError(
                f"{shown(os.path.dirname(self._path))} was removed or replaced while this process "
                "was using it: rerun the same command"
            )

    def release(self) -> None:
        self._file.close()
