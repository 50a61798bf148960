"""Makes an average: reads its members' checkpoints, and saves their mean as a checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from etils import epath
from rich.console import Console

from codepretrain import interrupt
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.checkpoint.restored import Restored
from codepretrain.checkpoint.whole import WholeCheckpoint
from codepretrain.files.atomic import write_json
from codepretrain.hosts import decide
from codepretrain.metrics.starts import record_start
from codepretrain.metrics.stopwatch import Stopwatch
from codepretrain.metrics.time_ledger import TimeLedger
from codepretrain.model.transformer import Params
from codepretrain.progress_pipe import PROGRESS
from codepretrain.stream.ledger import Ledger, check_resume
from codepretrain.study.phase import Origin
from codepretrain.train.lost_checkpoints import check_resumed, settle_lost
from codepretrain.train.phase_run import check_identity
from codepretrain.train.weight_average import average_params


@dataclass(frozen=True, kw_only=True)
class AverageRun:
    """An average to be made.

    Attributes:
      members: in the order in which they are added.
      open_checkpoint: returns the checkpoint of a phase, by name, at a step; makes it again if it
        was not kept.
      ledger: at the end of the average.
      identity, policy, check_hold, provenance, retrain_lost, expected_step, attempt: as in
        `train/phase_run.py`.
    """

    name: str
    run_dir: epath.Path
    abstract_params: Params
    members: Sequence[Origin]
    open_checkpoint: Callable[[str, int], WholeCheckpoint]
    ledger: Ledger
    identity: Mapping[str, Any]
    policy: CheckpointPolicy
    check_hold: Callable[[], None]
    provenance: Mapping[str, Any]
    retrain_lost: bool
    expected_step: int
    attempt: str


def make_average(run: AverageRun, console: Console, watch: Stopwatch) -> None:
    """Makes the checkpoint of the average, unless it is there; writes the run's ledger.

    Only parameters are saved: an average has no optimizer state.

    Raises:
      UserError: the checkpoints of the members, or what is there, do not match.
      DamageError: the checkpoint was made and is lost, and `retrain_lost` is not set.
    """
    checkpoints = Checkpoints(
        run.run_dir / "checkpoints",
        run.policy,
        check_hold=run.check_hold,
        on_committed=PROGRESS.save,
        attempt=run.attempt,
    )
    try:
        with watch.spent("program"):
            _make(run, checkpoints, console, watch)
    finally:
        checkpoints.close()


def _make(run: AverageRun, checkpoints: Checkpoints, console: Console, watch: Stopwatch) -> None:
    step = run.ledger.step
    first_step = _made_step(run, checkpoints, console)
    start = decide(
        "the record of this start",
        lambda: record_start(run.run_dir / "starts.jsonl", "average", run.provenance),
    )
    with TimeLedger(
        run.run_dir / "time.jsonl",
        watch,
        session=start,
        first_step=first_step,
        is_primary=jax.process_index() == 0,
    ) as time:
        if first_step < step:
            with watch.spent("restore"):
                opened = [
                    (run.open_checkpoint(member.phase.name, member.step), member.weight)
                    for member in run.members
                ]
                console.print(f"{run.name}: averaging {len(opened):,} checkpoints")
                params = average_params(run.abstract_params, opened)
            with interrupt.deferred(), watch.spent("save"):
                ledger = run.ledger.to_json()
                checkpoints.save(step, {"params": params}, ledger=ledger, identity=run.identity)
                checkpoints.wait()
        PROGRESS.finish_step(step)
        time.save(step, is_final=True)
        decide("the ledger", lambda: write_json(run.run_dir / "ledger.json", run.ledger.to_json()))


def _made_step(run: AverageRun, checkpoints: Checkpoints, console: Console) -> int:
    """Returns the step of the average if its checkpoint is there and whole, else 0."""
    whole, damage = checkpoints.whole(run.ledger.step)
    found = Restored(
        step=0 if whole is None else run.ledger.step,
        state=whole,
        damaged={run.ledger.step: damage} if damage else {},
    )
    PROGRESS.resume(run.name, found.step)
    check_resumed(run.name, found.step, run.expected_step, checkpoints.directory)
    for line in settle_lost(
        checkpoints,
        found,
        run_dir=run.run_dir,
        up_to=run.ledger.step,
        retrain=run.retrain_lost,
        replaces_records=False,  # the same average again
    ):
        console.print(f"{run.name}: {line}", soft_wrap=True)
    if whole is not None:
        check_identity(whole.record.identity, run.identity, where=whole.folder)
        check_resume(Ledger.from_json(whole.record.ledger), run.ledger)
        console.print(f"{run.name}: averaged already")
    return found.step
