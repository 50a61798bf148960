"""Explains to the user of `evaluate` why a phase has no checkpoint of a step."""

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.restored import Restored
from codepretrain.command_line import same_study
from codepretrain.errors import DamageError, UserError
from codepretrain.hosts import decide
from codepretrain.stream.ledger import saved_step
from codepretrain.study.workspace import Workspace


def missing_checkpoint(
    workspace: Workspace, name: str, step: int, checkpoints: Checkpoints, *, command: str
) -> UserError:
    """Returns the error: the checkpoint is lost, the phase is not trained, or the step is wrong.

    Every process must call it.

    Args:
      command: the command line, "" if it is not known.
    """
    steps = checkpoints.steps()
    found = ", ".join(f"{step:,}" for step in steps)
    ledger = workspace.run_dir(name) / "ledger.json"
    recorded_step = decide("the ledger's step", lambda: saved_step(ledger))
    lost = checkpoints.lost_steps(Restored(damaged={}), up_to=step, recorded_step=recorded_step)
    train = same_study(f"train --phase {name}", command)
    if step in steps or step in lost:
        what = "is damaged" if step in steps else "is missing"
        return DamageError(
            f"phase {name!r}: the checkpoint {checkpoints.path(step)} {what}; available steps: "
            f"{found or 'none'}. Restore it from a copy, or train it again: {train} --retrain-lost"
        )
    if not steps and not lost:
        return UserError(f"phase {name!r} is not trained yet: run {train}")
    num_steps = workspace.phases[name].num_steps
    if step == num_steps:
        return UserError(
            f"phase {name!r} is not trained to its end at step {num_steps:,} yet; available steps: "
            f"{found or 'none'}. Run {train}, or choose one with --step"
        )
    return UserError(
        f"phase {name!r} has no complete checkpoint at step {step:,}; available steps: "
        f"{found or 'none'}"
    )
