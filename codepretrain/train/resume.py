"""Decides from which step a phase goes on, and restores its state there."""

from collections.abc import Callable, Sequence
from typing import Any

from codepretrain.checkpoint.local.manager import LocalCheckpoints
from codepretrain.checkpoint.local.plan import Key
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.restored import Restored
from codepretrain.hosts import decide
from codepretrain.metrics.writer import recorded_step
from codepretrain.progress_pipe import PROGRESS
from codepretrain.stream.ledger import Ledger, LedgerKeeper, check_resume
from codepretrain.train.lost_checkpoints import check_resumed, settle_lost
from codepretrain.train.phase_run import PhaseRun, check_identity
from codepretrain.train.state import TrainState


def resume(
    phase_run: PhaseRun,
    checkpoints: Checkpoints,
    local: LocalCheckpoints,
    ledger: LedgerKeeper,
    *,
    abstract_state: TrainState,
    tell: Callable[[str], None],
) -> tuple[TrainState, int]:
    """Returns the state and step of the newest whole checkpoint, or the phase's first.

    Raises:
      UserError: it is of another phase, or earlier than one that was committed before.
    """
    keys = _recorded(local.find(up_to=phase_run.stop_step), phase_run, tell)
    restored = _newest(checkpoints, local, keys, abstract_state, up_to=phase_run.stop_step)
    _check_resumed(phase_run, restored.step, checkpoints)
    for line in settle_lost(
        checkpoints,
        restored,
        run_dir=phase_run.run_dir,
        up_to=phase_run.stop_step,
        retrain=phase_run.retrain_lost,
        replaces_records=not phase_run.is_rebuild,
    ):
        tell(line)
    if restored.state is not None:
        where = local.folder if restored.is_local else checkpoints.path(restored.step)
        check_identity(restored.identity, phase_run.identity, where=where)
        check_resume(Ledger.from_json(restored.ledger), ledger.advance_to(restored.step))
        of_what = " of a local checkpoint" if restored.is_local else ""
        tell(f"resuming from step {restored.step:,}{of_what}")
    local.begin(restored.step, is_local=restored.is_local)
    if restored.state is None:
        return phase_run.initial_state(), 0
    return restored.state, restored.step


def _recorded(
    keys: Sequence[Key], phase_run: PhaseRun, tell: Callable[[str], None]
) -> Sequence[Key]:
    """Returns the local checkpoints of steps that are recorded.

    Records of earlier steps only are those of a copy of the working directory: resuming from a
    later one would leave a hole in them.
    """
    if not keys:
        return keys
    last = decide("the last recorded step", lambda: recorded_step(phase_run.run_dir))
    if later := [step for step, _ in keys if step > last]:
        tell(
            f"local checkpoints are ignored: they are of steps up to {later[0]:,}, and the "
            f"metrics of {phase_run.run_dir} end at step {last:,}"
        )
    return [key for key in keys if key[0] <= last]


def _newest(
    checkpoints: Checkpoints,
    local: LocalCheckpoints,
    keys: Sequence[Key],
    abstract_state: Any,
    *,
    up_to: int,
) -> Restored:
    """Returns the newest whole checkpoint: of the run, or a later one of the hosts' disks."""
    for key in keys:
        step, _ = key
        restored = checkpoints.restore(abstract_state, up_to=up_to, since=step)
        if restored.state is not None:
            return restored
        found = local.restore(key, damaged=restored.damaged)
        if found is not None:
            return found
    return checkpoints.restore(abstract_state, up_to=up_to)


def _check_resumed(phase_run: PhaseRun, step: int, checkpoints: Checkpoints) -> None:
    """Reports where the phase resumes.

    Raises:
      DamageError: it is earlier than a checkpoint that was committed before.
    """
    if phase_run.is_rebuild:
        return
    PROGRESS.resume(phase_run.name, step)
    check_resumed(phase_run.name, step, phase_run.expected_step, checkpoints.directory)
