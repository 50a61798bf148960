"""Trains one phase: takes it up where it stands, steps, logs, evaluates, saves, stops cleanly."""

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator
from codepretrain.evals.recording import record_evaluation
from codepretrain.files import jsonl
from codepretrain.files.identity import differences
from codepretrain.hosts import from_primary, max_over_processes
from codepretrain.interrupt import Interrupt, Interrupted
from codepretrain.metrics.goodput import goodput
from codepretrain.metrics.progress import StepProgress
from codepretrain.metrics.time_ledger import TimeLedger
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.rows.store import RowStore
from codepretrain.stream.ledger import Ledger, LedgerKeeper, check_resume
from codepretrain.stream.loader import BatchLoader
from codepretrain.stream.order import RowOrder
from codepretrain.train.lost_checkpoints import settle_lost
from codepretrain.train.program import Program
from codepretrain.train.sharding import global_batch
from codepretrain.train.state import TrainState
from codepretrain.train.step import StepMetrics

# Steps handed to the devices before their results are awaited: enough to hide the host's work.
_STEPS_IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseRun:
    """One phase to train, in terms of streams and steps.

    identity: what the phase's fingerprint hashes; stored with every checkpoint and compared.
    parent_digest: the ledger's digest at the branch point. policy: which checkpoints to keep.
    initial_state: makes the state of step 0, from random parameters or from the parent.
    stop_step: train up to here. is_rebuild: remake a checkpoint of a run that is already recorded.
    retrain_lost: train again what lost checkpoints held. check_hold: raises if the run is no longer
      held; called by process 0 before each commit of a checkpoint.
    """

    name: str
    config: StudyConfig
    plan: RowOrder
    learning_rate: Callable[[int], float]
    weight_decay: float
    run_dir: Path
    identity: Mapping[str, Any]
    stores: Mapping[str, RowStore]
    parent_digest: str
    policy: CheckpointPolicy
    initial_state: Callable[[], TrainState]
    stop_step: int
    is_rebuild: bool = False
    retrain_lost: bool = False
    check_hold: Callable[[], None] = lambda: None
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def step_tokens(self) -> int:
        return self.plan.batch_size * self.config.data.max_seq_len


class Trainer:
    """A phase under way. `run` returns when it has reached `job.stop_step` and all is on disk."""

    def __init__(
        self, job: PhaseRun, program: Program, evaluators: Sequence[Evaluator], console: Console
    ) -> None:
        self.job = job
        self.program = program
        self.evaluators = evaluators
        self.console = console
        self.ledger = LedgerKeeper(job.plan, job.stores, parent_digest=job.parent_digest)
        self.checkpoints = Checkpoints(
            job.run_dir / "checkpoints", job.policy, check_hold=job.check_hold
        )
        self.pending: deque[tuple[int, float, StepMetrics]] = deque()
        self._seconds_before: dict[str, float] = {}

    def run(self) -> None:
        """Trains to `job.stop_step`.

        Raises:
          Interrupted: SIGINT or SIGTERM came; the state is saved.
          UserError: training diverged, or what is on disk does not fit.
        """
        job, program = self.job, self.program
        with ExitStack() as stack:
            stack.callback(self.checkpoints.close)
            state, step = self._take_up()
            self._open_records(stack, step)
            self._evaluate(state, step)
            loader = stack.enter_context(self._loader(step))
            interrupt = stack.enter_context(Interrupt())
            self.progress = stack.enter_context(
                StepProgress(self.console, job.name, first_step=step, num_steps=job.stop_step)
            )
            while step < job.stop_step:
                with self.time.spent("wait_for_data"):
                    loaded_step, local = next(loader)
                assert loaded_step == step
                rate = job.learning_rate(step)
                with self.time.spent("train"):
                    state, metrics = program.train_step(
                        state, global_batch(local, program.mesh), rate, job.weight_decay
                    )
                    step += 1
                    self.pending.append((step, rate, metrics))
                    self._await_old_steps()
                if step % job.config.logging.interval_steps == 0 or step == job.stop_step:
                    self._log()
                stop_signal = self._agree(interrupt.signal_number, step)
                self._save_if_due(state, step, stops=bool(stop_signal))
                if stop_signal:
                    self._finish(step)
                    raise Interrupted(stop_signal, self._how_to_go_on(step))
                self._evaluate(state, step)
            self._finish(step)

    def _take_up(self) -> tuple[TrainState, int]:
        """Returns the state and step of the newest whole checkpoint, or the phase's first."""
        job = self.job
        restored = self.checkpoints.restore(self.program.abstract_state, up_to=job.stop_step)
        for line in settle_lost(
            self.checkpoints,
            restored,
            run_dir=job.run_dir,
            up_to=job.stop_step,
            retrain=job.retrain_lost,
            replaces_records=not job.is_rebuild,
        ):
            self.console.print(f"{job.name}: {line}", soft_wrap=True)
        if restored.state is None:
            return job.initial_state(), 0
        check_identity(restored.identity, job.identity, where=self.checkpoints.path(restored.step))
        check_resume(Ledger.from_json(restored.ledger), self.ledger.advance_to(restored.step))
        self.console.print(f"{job.name}: going on from step {restored.step:,}")
        return restored.state, restored.step

    def _open_records(self, stack: ExitStack, step: int) -> None:
        """Opens the metrics and the time ledger; a rebuild leaves both as they are."""
        process_index = 1 if self.job.is_rebuild else jax.process_index()
        self.writer = stack.enter_context(
            MetricsWriter(
                self.job.run_dir,
                self.job.config.logging,
                self.job.name,
                resumed_step=step,
                process_index=process_index,
            )
        )
        self.time = TimeLedger(
            self.job.run_dir / "time.jsonl",
            first_step=step,
            provenance=self.job.provenance,
            process_index=process_index,
        )
        with self.time.spent("compile"):
            self.program.compile()

    def _loader(self, step: int) -> BatchLoader:
        execution = self.job.config.execution
        return BatchLoader(
            self.job.plan,
            self.job.stores,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            mask_documents=self.job.config.training.mask_documents,
            start_step=step,
            prefetch=execution.prefetch_batches,
            threads=execution.reader_threads,
        )

    def _await_old_steps(self) -> None:
        """Blocks until all but the newest steps are done, so that the host never runs far ahead."""
        if len(self.pending) > _STEPS_IN_FLIGHT:
            jax.block_until_ready(self.pending[-1 - _STEPS_IN_FLIGHT][2].loss)

    def _log(self) -> None:
        """Writes the pending steps, one line each, and looks for a run that cannot go on."""
        if not self.pending:
            return
        with self.time.spent("train"):
            steps = [(step, rate, jax.device_get(m)) for step, rate, m in self.pending]
        self.pending.clear()
        seconds = self.time.seconds
        rates = self._rates(len(steps), seconds)
        shares = {
            "mfu": self.program.mfu(rates["tokens_per_s"]),
            "goodput": goodput(self.time.sessions(steps[-1][0])).goodput,
        }
        for step, rate, metrics in steps:
            record = {
                "step": step,
                "tokens": step * self.job.step_tokens,
                "learning_rate": rate,
                **{name: value.item() for name, value in metrics._asdict().items()},
            }
            self.writer.log_step({**record, **rates, **shares} if step == steps[-1][0] else record)
        self.time.save(steps[-1][0])
        self.progress.update(steps[-1][0], loss=float(steps[-1][2].loss), **rates)
        self._check_skips(steps[-1][0], int(steps[-1][2].num_consecutive_skipped))

    def _rates(self, num_steps: int, seconds: Mapping[str, float]) -> dict[str, float]:
        """Returns tokens/s and the share of time spent waiting for data since the last lines."""
        spent = {k: seconds[k] - self._seconds_before.get(k, 0.0) for k in seconds}
        self._seconds_before = dict(seconds)
        stepping = spent["train"] + spent["wait_for_data"]
        return {
            "tokens_per_s": num_steps * self.job.step_tokens / stepping,
            "wait_share": spent["wait_for_data"] / stepping,
        }

    def _check_skips(self, step: int, num_skipped: int) -> None:
        limit = self.job.config.training.max_consecutive_skips
        if num_skipped >= limit:
            raise UserError(
                f"phase {self.job.name!r} diverged: the updates of steps {step - num_skipped} to "
                f"{step - 1} were all skipped (loss or gradient not finite, or gradient norm over "
                f"training.spike_factor times its mean; limit {limit}). The last checkpoint is "
                f"kept; list a batch with: codepretrain show-batch --phase {self.job.name} "
                f"--step {step - num_skipped}"
            )

    def _save_if_due(self, state: TrainState, step: int, *, stops: bool) -> None:
        """Saves by step (permanent), by time, and before stopping (temporary)."""
        by_time = self._agree(int(self.checkpoints.is_due_by_time()), step)
        if not (self.checkpoints.is_permanent(step) or by_time or stops):
            return
        self._log()
        with self.time.spent("save"):
            ledger = self.ledger.advance_to(step).to_json()
            self.writer.flush()
            self.checkpoints.save(step, state, ledger=ledger, identity=self.job.identity)

    def _agree(self, value: int, step: int) -> int:
        """Returns the largest `value` of all processes; several only meet every logged step."""
        if (
            jax.process_count() > 1
            and step % self.job.config.logging.interval_steps
            and step != self.job.stop_step
        ):
            return 0
        return max_over_processes(value)

    def _evaluate(self, state: TrainState, step: int) -> None:
        """Runs the evaluations that are due after `step` updates and not recorded yet."""
        if self.job.is_rebuild:
            return
        for evaluator in self.evaluators:
            if not evaluator.is_due(step, at_end=step == self.job.plan.num_steps):
                continue
            is_missing = not self.writer.has_evaluation(step, evaluator.name)
            if from_primary(is_missing):
                with self.time.spent("evaluate"):
                    record_evaluation(
                        evaluator,
                        state.params,
                        self.writer,
                        self.job.run_dir,
                        step=step,
                        tokens=step * self.job.step_tokens,
                    )

    def _finish(self, step: int) -> None:
        with self.time.spent("save"):
            self.checkpoints.wait()
        self.time.save(step)
        if not self.job.is_rebuild and jax.process_index() == 0:
            ledger = jsonl.encode(self.ledger.advance_to(step).to_json())
            jsonl.write_atomically(self.job.run_dir / "ledger.json", ledger + "\n")

    def _how_to_go_on(self, step: int) -> str:
        return (
            f"stopped in phase {self.job.name!r} at step {step:,} of {self.job.plan.num_steps:,}; "
            "everything is saved. The same command goes on from here"
        )


def check_identity(stored: Mapping[str, Any], current: Mapping[str, Any], *, where: Path) -> None:
    """Raises UserError, naming what differs, unless a checkpoint belongs to this phase."""
    found = differences(stored, current)
    if found:
        raise UserError(
            f"the checkpoint {where} belongs to another phase: {'; '.join(found)}. Move it away, "
            "or start in another --workdir"
        )
