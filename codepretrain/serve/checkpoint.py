"""The parameters of a phase's checkpoint on the devices, without the optimizer's state."""

from typing import Any

import jax

from codepretrain.checkpoint.leaves import CheckpointLeaves, open_leaves
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.model.transformer import Params
from codepretrain.study.missing_checkpoint import missing_checkpoint
from codepretrain.study.workspace import Workspace
from codepretrain.train.phase_run import check_identity


def check_step(workspace: Workspace, name: str, step: int, *, command: str) -> None:
    """Checks that a phase has a checkpoint of this step; reads none of its arrays.

    Args:
      command: the command line, for the message.

    Raises:
      UserError: it has none; says which there are, or how to train it.
    """
    checkpoints = _checkpoints(workspace, name)
    if step not in checkpoints.steps():
        raise missing_checkpoint(workspace, name, step, checkpoints, command=command)


def load_params(workspace: Workspace, name: str, step: int, abstract_params: Params) -> Params:
    """Returns the parameters, sharded like `abstract_params`, after verifying the checkpoint.

    Raises:
      UserError: a file is missing or altered, or the checkpoint is of another study or model.
    """
    path = _checkpoints(workspace, name).path(step)
    with open_leaves(path) as leaves:
        check_identity(leaves.identity, workspace.identity(name), where=path)
        return jax.tree_util.tree_map_with_path(
            lambda keys, wanted: _load(leaves, keys, wanted), abstract_params
        )


def _load(leaves: CheckpointLeaves, keys: Any, wanted: jax.ShapeDtypeStruct) -> jax.Array:
    name = f"params/{jax.tree_util.keystr(keys, simple=True, separator='/')}"
    value = leaves.read(name)
    assert value.shape == wanted.shape, f"{name}: an identity fixes the shapes"
    return jax.device_put(value.astype(wanted.dtype, copy=False), wanted.sharding)


def _checkpoints(workspace: Workspace, name: str) -> Checkpoints:
    """Returns the checkpoints of a phase, to read from."""
    return Checkpoints(workspace.run_dir(name) / "checkpoints", workspace.checkpoint_policy(name))
