"""The arrays of a checkpoint, through Orbax: an OCDBT store per process, and an index over all.

Only Orbax's handler is used, not its manager: each part of the handler runs in a single process, so
this package decides where processes synchronize and reports a failure in one of them to all.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.storage import is_file

_INDEX = "manifest.ocdbt"


class Writing:
    """Arrays being written; they may be donated once this object exists."""

    def __init__(self, folder: epath.Path, state: Any) -> None:
        self._folder = folder
        self._handler = ocp.PyTreeCheckpointHandler()
        arguments = ocp.args.PyTreeSave(state)
        self._futures = asyncio.run(self._handler.async_save(folder, args=arguments)) or []

    def wait(self) -> None:
        """Waits until the files of this process are written."""
        for future in self._futures:
            future.result()

    def merge(self) -> None:
        """Writes the index over the files of all processes; process 0 calls it when all are done.

        The files stay as they are.

        Raises:
          UserError: Orbax wrote no index, without which the arrays cannot be read.
        """
        self._handler.finalize(self._folder)
        if not is_file(self._folder / _INDEX):
            raise UserError(
                f"{self._folder}: Orbax found no arrays to index; the checkpoint is not kept"
            )


def read_arrays(folder: epath.Path, abstract_state: Any, *, is_part: bool = False) -> Any:
    """Returns the arrays with the dtypes and shardings of `abstract_state`.

    Args:
      is_part: the other leaves of the checkpoint are not read, such as the optimizer's.

    Raises:
      UserError: the leaves are not those of `abstract_state`.
    """
    check_stored(folder, abstract_state, is_part)
    arguments = ocp.args.PyTreeRestore(
        item=abstract_state,
        restore_args=ocp.checkpoint_utils.construct_restore_args(abstract_state),
        partial_restore=is_part,
    )
    return ocp.PyTreeCheckpointHandler().restore(folder, args=arguments)


def check_stored(folder: epath.Path, abstract_state: Any, is_part: bool) -> None:
    """Raises UserError, naming the leaves, unless those in `folder` are those of a state.

    is_part: others may be there too.
    """
    stored = _leaves(ocp.PyTreeCheckpointHandler().metadata(folder))
    wanted = _leaves(abstract_state)
    if is_part:
        stored = {name: leaf for name, leaf in stored.items() if name in wanted}
    check_leaves(stored, wanted, folder)


def _leaves(tree: Any) -> dict[str, str]:
    """Returns shape and dtype of each leaf by its path: `params/embedding` → `[64, 16] float32`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{list(leaf.shape)} {leaf.dtype}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def check_leaves(stored: dict[str, str], wanted: dict[str, str], path: epath.Path) -> None:
    """Raises UserError, naming the leaves, unless both are the same."""
    found = [
        f"{name} is {stored[name]} in the checkpoint and {wanted[name]} in the model"
        for name in wanted
        if name in stored and stored[name] != wanted[name]
    ]
    found += [f"{name} is missing in the checkpoint" for name in wanted if name not in stored]
    found += [f"{name} is only in the checkpoint" for name in stored if name not in wanted]
    if found:
        raise UserError(
            f"the checkpoint {path} is of another model: {some(found)}; use the model it was "
            "trained with, or another --workdir"
        )


def some(phrases: Sequence[str], at_most: int = 3) -> str:
    """Returns the first phrases, and how many more there are."""
    more = f"; and {len(phrases) - at_most} more" if len(phrases) > at_most else ""
    return "; ".join(phrases[:at_most]) + more
