"""Trains one phase: resumes, steps, logs, evaluates, saves, and stops cleanly."""

import functools
from collections.abc import Sequence
from contextlib import ExitStack

import jax
from rich.console import Console

from codepretrain import interrupt
from codepretrain.checkpoint.local.manager import LocalCheckpoints
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.errors import Interrupted
from codepretrain.files import atomic
from codepretrain.hosts import decide, gather, values_of_processes
from codepretrain.metrics.progress import StepProgress
from codepretrain.metrics.starts import Purpose, record_start
from codepretrain.metrics.stopwatch import Stopwatch
from codepretrain.metrics.time_ledger import TimeLedger
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.progress_pipe import PROGRESS
from codepretrain.stream.ledger import LedgerKeeper
from codepretrain.stream.loader import BatchLoader
from codepretrain.train.phase_evaluator import EvaluationError, PhaseEvaluator
from codepretrain.train.phase_run import PhaseRun
from codepretrain.train.profile import Profile
from codepretrain.train.program import Program
from codepretrain.train.replay import ReplayedSteps
from codepretrain.train.resume import resume
from codepretrain.train.sharding import global_batch
from codepretrain.train.state import TrainState
from codepretrain.train.step_log import StepLog


class Trainer:
    """A phase in training. `run` returns when `stop_step` is reached and all is on disk.

    Args:
      watch: charges the time; its lap is this session of the run.
    """

    def __init__(
        self,
        phase_run: PhaseRun,
        program: Program,
        evaluators: Sequence[PhaseEvaluator],
        console: Console,
        watch: Stopwatch,
    ) -> None:
        self.phase_run = phase_run
        self.program = program
        self.evaluators = evaluators
        self.console = console
        self.watch = watch
        self.ledger = LedgerKeeper(
            phase_run.order, phase_run.stores, parent_digest=phase_run.parent_digest
        )
        self.checkpoints = Checkpoints(
            phase_run.run_dir / "checkpoints",
            phase_run.policy,
            check_hold=phase_run.check_hold,
            on_committed=PROGRESS.save if not phase_run.is_rebuild else None,
            attempt=phase_run.attempt,
        )
        self.local = LocalCheckpoints(
            phase_run.config.checkpoint,
            phase_run.run_dir,
            program.abstract_state,
            identity=phase_run.identity,
            tell=self._tell,
            check_hold=phase_run.check_hold,
            is_off=phase_run.is_rebuild,
        )
        self.profile = Profile(phase_run.run_dir / "profile", phase_run.profile_steps, self._tell)

    def run(self) -> None:
        """Trains to `phase_run.stop_step`.

        Raises:
          Interrupted: SIGINT or SIGTERM came; the state is saved.
          UserError: training diverged, or the files on disk do not match.
        """
        with ExitStack() as stack:
            stack.enter_context(interrupt.handling())
            stack.enter_context(self.watch.spent("program"))
            stack.callback(self.checkpoints.close)
            stack.callback(self.local.wait)
            with self.watch.spent("restore"):
                state, step = self._restore()
            self._open_records(stack, step)
            with self.watch.spent("compile"):
                self.program.compile()
                # The first to have compiled would wait for the others in its first collective
                # operation: Gloo gives up after 30 s, and compiling may take longer than that.
                gather("the end of compiling", lambda: None)
            self._evaluate(state, step)
            loader = stack.enter_context(self._loader(step))
            self.log = self._step_log(stack, step)
            stack.callback(self.profile.close)
            with interrupt.deferred():
                self._train(state, step, loader)

    def _train(self, state: TrainState, step: int, loader: BatchLoader) -> None:
        """Runs the steps. Stop signals are deferred: each is honored after a save."""
        phase_run, program, watch = self.phase_run, self.program, self.watch
        steps = ReplayedSteps(program, phase_run.config.execution.replay_interval_steps)
        while step < phase_run.stop_step:
            self.profile.before_step(step)
            with watch.spent("wait_for_data"):
                loaded_step, local = next(loader)
            assert loaded_step == step
            rate = phase_run.learning_rate(step)
            with watch.spent("train"):
                step += 1
                state, metrics = steps.run(
                    state,
                    global_batch(local, program.mesh),
                    step=step,
                    learning_rate=rate,
                    weight_decay=phase_run.weight_decay,
                )
                self.log.add(step, rate, metrics)
            self.profile.after_step(step, metrics.loss)
            if self.log.is_due(step):
                self.log.write()
            if interrupt.is_due():
                self._stop(state, step)
            self._save_if_due(state, step)
            try:
                self._evaluate(state, step)
            except Interrupted:
                self._stop(state, step)
            except EvaluationError:
                self._keep(state, step)
                raise
        self._finish(step)

    def _restore(self) -> tuple[TrainState, int]:
        return resume(
            self.phase_run,
            self.checkpoints,
            self.local,
            self.ledger,
            abstract_state=self.program.abstract_state,
            tell=self._tell,
        )

    def _step_log(self, stack: ExitStack, step: int) -> StepLog:
        progress = StepProgress(
            self.console,
            self.phase_run.name,
            first_step=step,
            num_steps=self.phase_run.stop_step,
        )
        return StepLog(
            self.phase_run,
            self.program,
            self.watch,
            writer=self.writer,
            time_ledger=self.time,
            progress=stack.enter_context(progress),
        )

    def _open_records(self, stack: ExitStack, step: int) -> None:
        """Opens the metrics and the time ledger; a rebuild leaves both as they are."""
        phase_run = self.phase_run
        is_primary = jax.process_index() == 0
        purpose: Purpose = "rebuild" if phase_run.is_rebuild else "train"
        session = 0
        if is_primary:
            session = record_start(
                phase_run.run_dir / "starts.jsonl", purpose, phase_run.provenance
            )
        records = is_primary and not phase_run.is_rebuild
        self.writer = stack.enter_context(
            MetricsWriter(
                phase_run.run_dir,
                phase_run.config.logging,
                phase_run.name,
                resumed_step=step,
                is_primary=records,
            )
        )
        self.time = stack.enter_context(
            TimeLedger(
                phase_run.run_dir / "time.jsonl",
                self.watch,
                session=session,
                first_step=step,
                is_primary=records,
            )
        )

    def _loader(self, step: int) -> BatchLoader:
        config = self.phase_run.config
        return BatchLoader(
            self.phase_run.order,
            self.phase_run.stores,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            mask_documents=config.training.mask_documents,
            start_step=step,
            prefetch=config.execution.prefetch_batches,
            threads=config.execution.reader_threads,
        )

    def _save_if_due(self, state: TrainState, step: int) -> None:
        """Saves by step (permanent) and by time (temporary)."""
        is_due, is_local_due = self.checkpoints.is_permanent(step), self.local.is_due(step)
        own = [int(each.is_due_by_time()) for each in (self.checkpoints, self.local)]
        if jax.process_count() == 1:
            is_due, is_local_due = is_due or bool(own[0]), is_local_due or bool(own[1])
        elif self.log.is_due(step):  # agreeing on the time costs some
            all_values = values_of_processes([*own, *self.log.times_us()])
            is_due |= any(is_late for is_late, *_ in all_values)
            is_local_due |= any(is_late for _, is_late, *_ in all_values)
            self.log.note_times(step, [times for _, _, *times in all_values])
        if is_local_due and step < self.phase_run.stop_step:
            self._save(state, step, is_local=True)
        if is_due:
            self._save(state, step)

    def _save(self, state: TrainState, step: int, *, is_local: bool = False) -> None:
        self.log.write()
        with self.watch.spent("save"):
            ledger = self.ledger.advance_to(step).to_json()
            self.writer.flush()
            if is_local:
                self.local.save(step, state, ledger=ledger)
            else:
                identity = self.phase_run.identity
                self.checkpoints.save(step, state, ledger=ledger, identity=identity)

    def _evaluate(self, state: TrainState, step: int) -> None:
        """Runs the evaluations that are due after `step` updates and not recorded yet."""
        phase_run = self.phase_run
        if phase_run.is_rebuild:
            return
        run_dir, tokens = phase_run.run_dir, step * phase_run.step_tokens
        for evaluator in self.evaluators:
            if not evaluator.is_due(step, at_end=step == phase_run.num_steps):
                continue
            why = functools.partial(
                self.writer.why_evaluate, step, evaluator.name, evaluator.digest
            )
            if decide("whether an evaluation is recorded", why):
                with self.watch.spent("evaluate"):
                    evaluator.record(state.params, self.writer, run_dir, step=step, tokens=tokens)

    def _stop(self, state: TrainState, step: int) -> None:
        """Saves and raises Interrupted."""
        self._keep(state, step)
        raise Interrupted(
            interrupt.signal_number(),
            f"stopped in phase {self.phase_run.name!r} at step {step:,} of "
            f"{self.phase_run.num_steps:,}; everything is saved",
        )

    def _keep(self, state: TrainState, step: int) -> None:
        self._save(state, step)
        self._finish(step)

    def _finish(self, step: int) -> None:
        """Waits for the last save, and writes the run's ledger."""
        with self.watch.spent("save"):
            self.checkpoints.wait()
            self.local.clear()
        self.time.save(step, is_final=True)
        if not self.phase_run.is_rebuild and jax.process_index() == 0:
            ledger = self.ledger.advance_to(step).to_json()
            atomic.write_json(self.phase_run.run_dir / "ledger.json", ledger)

    def _tell(self, line: str) -> None:
        self.console.print(f"{self.phase_run.name}: {line}", soft_wrap=True)
