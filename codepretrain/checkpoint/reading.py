"""Keeps a checkpoint from being deleted by the job that trains, while another job reads it.

    <run>/reading/<step>/<reader>/.lease/   of each reader: it expires after a crash
                         deleting           the job that trains is about to delete the checkpoint

Each side first writes its own file, then looks for the other's: so if both act at once, at least
one of them sees the other. The job that trains then keeps the checkpoint until a later save, and
never waits. A reader waits a moment for `deleting` to disappear.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.lease import TTL_S
from codepretrain.files.lease_watch import LeaseWatch
from codepretrain.files.object_lease import ObjectLease
from codepretrain.files.storage import StrPath

_DELETING = "deleting"
_READER = "reader-"  # other names are the mark, and what a killed write of it left
_PATIENCE_S = 10.0


@contextmanager
def reading(checkpoints: StrPath, step: int, *, ttl_s: float = TTL_S) -> Iterator[bool]:
    """Holds a checkpoint of the folder `checkpoints` against deletion until the block ends.

    Yields whether it holds it; False if the checkpoint is being deleted.

    Args:
      ttl_s: a holder that does not renew its lease for so long has lost it.
    """
    folder = os.path.join(_folder(checkpoints, step), f"{_READER}{secrets.token_hex(8)}")
    lease = ObjectLease(folder, ttl_s=ttl_s)
    try:
        yield _is_left_alone(checkpoints, step)
    finally:
        lease.release()
        with suppress(UserError):  # a released lease holds nothing
            storage.remove_tree(folder)


class Readers:
    """The readers of a run's checkpoints, as the job that trains sees them. It holds the run."""

    def __init__(self, checkpoints: StrPath) -> None:
        self._checkpoints = checkpoints
        self._watch = LeaseWatch()

    def begin(self) -> None:
        """Removes what a deletion left that was killed."""
        steps = [n for n in storage.names(_parent(self._checkpoints)) if n.isdecimal()]
        for folder in (_folder(self._checkpoints, int(step)) for step in steps):
            for name in storage.names(folder):
                if not name.startswith(_READER):
                    storage.remove(os.path.join(folder, name))

    def lock_out(self, step: int) -> bool:
        """Returns whether nobody reads a checkpoint; then nobody begins to until `forget`."""
        mark = os.path.join(_folder(self._checkpoints, step), _DELETING)
        if self._has_reader(step):
            return False
        write_bytes(mark, b"-")
        if self._has_reader(step):
            storage.remove(mark)
            return False
        return True

    def forget(self, step: int) -> None:
        """Removes the files about a checkpoint that is deleted."""
        storage.remove(os.path.join(_folder(self._checkpoints, step), _DELETING))
        with suppress(UserError):  # a reader that came too late writes and removes its own
            storage.remove_tree(_folder(self._checkpoints, step))

    def _has_reader(self, step: int) -> bool:
        folder = _folder(self._checkpoints, step)
        readers = [os.path.join(folder, n) for n in storage.names(folder) if n.startswith(_READER)]
        held = [self._watch.is_held(reader) for reader in readers]  # looks at each of them
        return any(held)


def _is_left_alone(checkpoints: StrPath, step: int) -> bool:
    mark = os.path.join(_folder(checkpoints, step), _DELETING)
    deadline = time.monotonic() + _PATIENCE_S
    while storage.exists(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _parent(checkpoints: StrPath) -> str:
    return os.path.join(os.path.dirname(os.fspath(checkpoints)), "reading")


def _folder(checkpoints: StrPath, step: int) -> str:
    return os.path.join(_parent(checkpoints), str(step))
