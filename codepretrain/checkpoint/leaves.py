"""One array at a time of a committed checkpoint, on the host: for readers that need no more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from codepretrain.checkpoint.integrity import find_damage
from codepretrain.errors import UserError


class CheckpointLeaves:
    """The state of one step's folder; what is not asked for is not read into memory.

    identity: what was saved with it to tell what it is a checkpoint of.
    """

    def __init__(self, path: Path, checkpointer: ocp.Checkpointer, *, identity: Any) -> None:
        self.path = path
        self.identity = identity
        self._state = epath.Path(path) / "state"
        self._checkpointer = checkpointer
        tree = checkpointer.metadata(self._state).item_metadata.tree
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
        restored = self._checkpointer.restore(
            self._state,
            args=ocp.args.PyTreeRestore(item=item, restore_args=arguments, partial_restore=True),
        )
        for key in keys:
            restored = restored[key]
        return restored


@contextmanager
def open_leaves(path: Path) -> Iterator[CheckpointLeaves]:
    """Opens a step's folder, when every file in it has been found to be what was written.

    Raises:
      UserError: a file is missing, or is not what was written.
    """
    if faults := find_damage(epath.Path(path)):
        raise UserError(f"damaged checkpoint {path}: {'; '.join(faults[:3])}")
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
        identity = checkpointer.restore(epath.Path(path) / "identity")
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        yield CheckpointLeaves(path, checkpointer, identity=identity)
