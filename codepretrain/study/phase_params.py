"""The parameters of a phase's checkpoint on the devices, without the optimizer's state."""

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.errors import DamageError
from codepretrain.model.transformer import Params
from codepretrain.study.missing_checkpoint import missing_checkpoint
from codepretrain.study.workspace import Workspace
from codepretrain.train.phase_run import check_identity


def phase_checkpoints(workspace: Workspace, name: str) -> Checkpoints:
    """Returns the checkpoints of a phase, to read from."""
    return Checkpoints(workspace.run_dir(name) / "checkpoints", workspace.checkpoint_policy(name))


def check_step(workspace: Workspace, name: str, step: int, *, command: str) -> None:
    """Checks that a phase has a checkpoint of this step; reads none of its arrays.

    Args:
      command: the command line, for the message.

    Raises:
      UserError: it has none; says which there are, or how to train it.
    """
    checkpoints = phase_checkpoints(workspace, name)
    if step not in checkpoints.steps():
        raise missing_checkpoint(workspace, name, step, checkpoints, command=command)


def load_params(
    workspace: Workspace, name: str, step: int, abstract_params: Params, *, flag: str = "--step"
) -> Params:
    """Returns the parameters, sharded like `abstract_params`, after verifying the checkpoint.

    Args:
      flag: the one that chose the step, for the message.

    Raises:
      UserError: the checkpoint is missing, damaged, or of another study or model.
    """
    checkpoints = phase_checkpoints(workspace, name)
    restored = checkpoints.restore({"params": abstract_params}, step=step, is_part=True)
    if step in restored.damaged:
        raise DamageError(
            f"damaged checkpoint {restored.damaged[step]}; choose another {flag}, or train the "
            "phase again"
        )
    if restored.state is None:
        raise missing_checkpoint(workspace, name, step, checkpoints, command="")
    check_identity(restored.identity, workspace.identity(name), where=checkpoints.path(step))
    return restored.state["params"]
