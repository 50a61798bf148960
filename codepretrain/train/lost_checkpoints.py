"""Whether a run resumes earlier than it must, because a checkpoint was lost.

A run that was killed resumes from its newest checkpoint and repeats the few steps after it: that is
ordinary. A checkpoint that was committed and is gone is not: to train again what it held would
spend compute, and take finished records out of use. That needs the user's word (`--retrain-lost`).
"""

from etils import epath

from codepretrain.checkpoint.manager import Checkpoints, Restored
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.aside import set_aside
from codepretrain.hosts import decide


def settle_lost(
    checkpoints: Checkpoints,
    restored: Restored,
    *,
    run_dir: epath.Path,
    up_to: int,
    retrain: bool,
    replaces_records: bool,
) -> list[str]:
    """Decides whether the run may resume where it was restored; returns lines for the console.

    The witnesses are the journal of checkpoints and `ledger.json`, which a run writes when it ends
    with everything saved. If the run resumes before the step of that ledger, the ledger is put
    aside; the metrics writer does the same with metrics and evaluations.

    Args:
      restored: what the newest whole checkpoint gave.
      up_to: the step to train to; later checkpoints do not matter.
      retrain: go on without lost checkpoints.
      replaces_records: the run writes records. A remade branch point leaves those there are.

    Raises:
      UserError: a checkpoint is lost, and `retrain` is not set.
    """
    ledger = run_dir / "ledger.json"
    recorded_step = decide("the ledger's step", lambda: _step(ledger))
    lost = checkpoints.lost_steps(restored, up_to=up_to, recorded_step=recorded_step)
    if lost and not retrain:
        raise UserError(_complaint(checkpoints, restored, lost))
    if lost:
        checkpoints.give_up(lost)
    if replaces_records and recorded_step > restored.step:
        decide("the old ledger", lambda: set_aside(ledger))
    lines = [f"damaged checkpoint: {problem}" for problem in restored.damaged.values()]
    if lost:
        lines.append(
            f"training again from step {restored.step:,} without the lost checkpoints; old records "
            f"are kept in {run_dir} as *.until-*"
        )
    return lines


def _step(ledger: epath.Path) -> int:
    return storage.read_json(ledger)["step"] if storage.is_file(ledger) else 0


def _complaint(checkpoints: Checkpoints, restored: Restored, lost: list[int]) -> str:
    if restored.damaged and restored.state is None:
        what = "no whole checkpoint is left"
    else:
        what = "a checkpoint was saved and is not there"
    steps = ", ".join(f"{step:,}" for step in lost)
    return (
        f"{checkpoints.directory}: {what} (step {steps}). Restore it from a copy, or rerun with "
        f"--retrain-lost to train again from step {restored.step:,}; old records are kept"
    )
