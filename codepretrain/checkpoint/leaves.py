"""The arrays of a committed checkpoint one at a time, on the host, for export."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from codepretrain.checkpoint.arrays import some
from codepretrain.checkpoint.integrity import verify
from codepretrain.errors import DamageError
from codepretrain.files.storage import StrPath


class CheckpointLeaves:
    """The state of one checkpoint; an array is read into memory when it is asked for.

    Attributes:
      identity: the identity of the phase that the checkpoint belongs to.
      ledger: the ledger that is stored with it, as JSON values.
      shapes: the shape of every array by its path, such as `params/embedding`.
    """

    def __init__(self, path: StrPath, *, state: str, identity: Any, ledger: Any) -> None:
        self.path = path
        self.identity = identity
        self.ledger = ledger
        self._state = epath.Path(path) / state
        self._handler = ocp.PyTreeCheckpointHandler()
        tree = self._handler.metadata(self._state).tree
        self.shapes: Mapping[str, tuple[int, ...]] = {
            jax.tree_util.keystr(keys, simple=True, separator="/"): tuple(leaf.shape)
            for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }

    def read(self, leaf: str) -> np.ndarray:
        """Returns the array at a path such as `params/embedding`, in the dtype it was saved in."""
        keys: Sequence[str] = leaf.split("/")
        item: Any = ...
        arguments: Any = ocp.RestoreArgs(restore_type=np.ndarray)
        for key in reversed(keys):
            item, arguments = {key: item}, {key: arguments}
        restored = self._handler.restore(
            self._state,
            args=ocp.args.PyTreeRestore(item=item, restore_args=arguments, partial_restore=True),
        )
        for key in keys:
            restored = restored[key]
        return restored


@contextmanager
def open_leaves(path: StrPath) -> Iterator[CheckpointLeaves]:
    """Opens the folder of a step after verifying every file in it.

    Raises:
      UserError: a file is missing, or differs from what was written.
    """
    record, faults = verify(path)
    if record is None or faults:
        raise DamageError(
            f"damaged checkpoint {path}: {some(faults)}; choose another --step, or train the phase "
            "again"
        )
    yield CheckpointLeaves(path, state=record.state, identity=record.identity, ledger=record.ledger)
