"""Detects that a run would resume too early because a checkpoint was lost.

A killed run normally resumes from its newest checkpoint and repeats a few steps. If a committed
checkpoint is missing, retraining its steps would spend compute and replace finished records, so it
requires the user's consent (`--retrain-lost`).
"""

from etils import epath

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.restored import Restored
from codepretrain.errors import DamageError
from codepretrain.files.journal import keep_cut
from codepretrain.files.storage import read_json, remove
from codepretrain.hosts import decide
from codepretrain.stream.ledger import saved_step


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

    The evidence is the journal of checkpoints and `ledger.json`, which a run writes when it ends
    with everything saved. If the run resumes before the step of that ledger, the ledger moves to
    `ledger.cut.jsonl`; the metrics writer does the same with metrics and evaluations.

    Args:
      restored: the state of the newest intact checkpoint.
      up_to: the step to train to; later checkpoints do not matter.
      retrain: continue without lost checkpoints.
      replaces_records: the run writes records. A rebuilt branch point keeps the existing ones.

    Raises:
      UserError: a checkpoint is lost, and `retrain` is not set.
    """
    ledger = run_dir / "ledger.json"
    recorded_step = decide("the ledger's step", lambda: saved_step(ledger))
    lost = checkpoints.lost_steps(restored, up_to=up_to, recorded_step=recorded_step)
    if lost and not retrain:
        raise DamageError(_complaint(checkpoints, restored, lost))
    if lost:
        checkpoints.give_up(lost)
    if replaces_records and recorded_step > restored.step:
        decide("the old ledger", lambda: _cut_ledger(ledger, restored.step))
    lines = [f"damaged checkpoint: {problem}" for problem in restored.damaged.values()]
    if lost:
        kept = f"; old records are kept in {run_dir}/*.cut.jsonl" if replaces_records else ""
        lines.append(
            f"training again from step {restored.step:,} without the lost checkpoints{kept}"
        )
    return lines


def check_resumed(name: str, step: int, expected_step: int, directory: epath.Path) -> None:
    """Raises DamageError if a phase resumes from a step before one that was committed.

    Args:
      expected_step: the step that was committed; 0 for none.
      directory: of the checkpoints.
    """
    if step < expected_step:
        raise DamageError(
            f"phase {name!r}: expected to resume from step {expected_step:,}, which was saved, "
            f"found step {step:,} in {directory}; restore the missing checkpoints from a copy"
        )


def _cut_ledger(ledger: epath.Path, resumed_step: int) -> None:
    keep_cut(ledger, [read_json(ledger)], {"resumed_step": resumed_step})
    remove(ledger)


def _complaint(checkpoints: Checkpoints, restored: Restored, lost: list[int]) -> str:
    if restored.damaged and restored.state is None:
        what = "no whole checkpoint is left"
    else:
        what = "a saved checkpoint is missing"
    steps = ", ".join(f"{step:,}" for step in lost)
    return (
        f"{checkpoints.directory}: {what} (step {steps}). Restore it from a copy, or rerun with "
        f"--retrain-lost to train again from step {restored.step:,}; old records are kept"
    )
