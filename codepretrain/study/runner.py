"""Trains and evaluates single phases of a study, with one compiled program for all of them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import jax
from etils import epath
from rich.console import Console

from codepretrain.checkpoint.reading import reading
from codepretrain.checkpoint.whole import WholeCheckpoint
from codepretrain.evals.build import Evaluator
from codepretrain.files.atomic import write_json
from codepretrain.hosts import decide
from codepretrain.metrics.evaluation_records import watch_folder
from codepretrain.metrics.starts import record_start
from codepretrain.metrics.stopwatch import Stopwatch, process_stopwatch
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params
from codepretrain.study.average_run import AverageRun, make_average
from codepretrain.study.exchange import imported_params
from codepretrain.study.graph import AveragePhase, TrainingPhase
from codepretrain.study.hold import held
from codepretrain.study.missing_checkpoint import missing_checkpoint
from codepretrain.study.missing_evaluations import missing_evaluations
from codepretrain.study.phase_params import phase_checkpoints
from codepretrain.study.run_record import run_record
from codepretrain.study.workspace import Workspace
from codepretrain.train.phase_run import PhaseRun, check_identity
from codepretrain.train.program import Program
from codepretrain.train.state import TrainState, branch_state, state_from_params
from codepretrain.train.trainer import Trainer


class Runner:
    """Trains and evaluates the phases of a study. Every process of a job makes the same calls."""

    def __init__(
        self,
        workspace: Workspace,
        program: Program,
        evaluators: Sequence[Evaluator],
        console: Console,
        provenance: Mapping[str, Any],
        *,
        retrain_lost: bool = False,
        profile_steps: int = 0,
        expected_steps: Mapping[str, int] | None = None,
        attempt: str = "",
    ) -> None:
        """Prints what the program runs on, and the warnings of the evaluations.

        Args:
          provenance: how this process was started and what it runs on (`study/provenance.py`);
            recorded at every start of a run.
          retrain_lost: train again what lost checkpoints held; otherwise they are an error.
          profile_steps: steps of each phase to profile, 0 for none.
          expected_steps: phase → a step that was saved, from which it resumes or from a later one.
          attempt: names this attempt to train the phases.
        """
        self.workspace = workspace
        self.program = program
        self.console = console
        self.provenance = provenance
        self.retrain_lost = retrain_lost
        self.profile_steps = profile_steps
        self.expected_steps = expected_steps or {}
        self.attempt = attempt
        self.evaluators = evaluators
        console.print(program.description(), highlight=False, soft_wrap=True)
        for evaluator in evaluators:
            for line in evaluator.warnings:
                console.print(f"evaluation {evaluator.name!r}: warning: {line}", soft_wrap=True)

    def train(self, name: str) -> None:
        """Trains a phase to its end, from its newest checkpoint or its parent's; or averages."""
        if isinstance(self.workspace.phases[name], AveragePhase):
            self._average(name)
            if self.evaluators:
                self.evaluate_end(name)
            return
        run_dir, num_steps = self.workspace.run_dir(name), self.workspace.phases[name].num_steps
        with self._held(run_dir) as check_hold:
            self._write_run_json(name)
            phase_run = self._phase_run(name, stop_step=num_steps, check_hold=check_hold)
            self._trainer(phase_run, process_stopwatch()).run()

    def _average(self, name: str) -> None:
        """Makes the checkpoint of an average, unless it is there."""
        workspace, phase = self.workspace, self.workspace.phases[name]
        assert isinstance(phase, AveragePhase), name
        with self._held(workspace.run_dir(name)) as check_hold:
            self._write_run_json(name)
            run = AverageRun(
                name=name,
                run_dir=workspace.run_dir(name),
                abstract_params=self.program.abstract_state.params,
                members=phase.members,
                open_checkpoint=self._needed,
                ledger=workspace.average_ledger(name),
                identity=workspace.identity(name),
                policy=workspace.checkpoint_policy(name),
                check_hold=check_hold,
                provenance=self.provenance,
                retrain_lost=self.retrain_lost,
                expected_step=self.expected_steps.get(name, 0),
                attempt=self.attempt,
            )
            make_average(run, self.console, process_stopwatch())

    def evaluate(self, name: str, step: int) -> None:
        """Runs the evaluations that are not recorded for the checkpoint of `step`.

        Raises:
          UserError: there is no undamaged checkpoint of this step. Nothing is written then.
        """
        if not self._evaluate(name, step):
            raise missing_checkpoint(
                self.workspace,
                name,
                step,
                phase_checkpoints(self.workspace, name),
                command=self.provenance.get("command", ""),
            )

    def evaluate_end(self, name: str) -> bool:
        """Evaluates the end of a phase as `evaluate`; returns whether its checkpoint is whole."""
        return self._evaluate(name, self.workspace.phases[name].num_steps)

    def evaluate_beside(self, name: str, step: int) -> bool:
        """Evaluates as `evaluate`, beside a job that holds the run, into records of its own.

        Returns whether the checkpoint was there and whole; the other job may delete it meanwhile.

        Raises:
          UserError: another job watches the run.
        """
        return self._evaluate(name, step, is_beside=True)

    def _evaluate(self, name: str, step: int, *, is_beside: bool = False) -> bool:
        run_dir, phase = self.workspace.run_dir(name), self.workspace.phases[name]
        if step not in phase_checkpoints(self.workspace, name).steps():
            return False  # before the hold, which creates the folder of the run
        folder = watch_folder(run_dir) if is_beside else run_dir
        with ExitStack() as stack:
            stack.enter_context(self._held(folder))
            read = self._kept_params_if_there if is_beside else self._kept_params
            with process_stopwatch().spent("restore"):
                params = read(name, step)
            if params is None:
                return False
            writer = stack.enter_context(
                MetricsWriter(
                    folder,
                    self.workspace.config.logging,
                    f"{name} (watch)" if is_beside else name,
                    resumed_step=phase.num_steps,
                    beside=run_dir if is_beside else None,
                    is_primary=jax.process_index() == 0,
                )
            )
            missing = missing_evaluations(self.evaluators, writer, name, step, self.console)
            if not missing:
                self.console.print(
                    f"{name}: every evaluation of step {step:,} is recorded already", soft_wrap=True
                )
                return True
            decide(
                "the record of this start",
                lambda: record_start(folder / "starts.jsonl", "evaluate", self.provenance),
            )
            tokens = step * (phase.tokens // phase.num_steps)
            for evaluator in missing:
                # Not within `gather`: a process that failed would wait for others that wait for it.
                with process_stopwatch().spent("evaluate"):
                    evaluator.record(params, writer, folder, step=step, tokens=tokens)
        return True

    def _trainer(self, phase_run: PhaseRun, watch: Stopwatch) -> Trainer:
        return Trainer(phase_run, self.program, self.evaluators, self.console, watch)

    def _phase_run(self, name: str, *, stop_step: int, check_hold: Callable[[], None]) -> PhaseRun:
        workspace, phase = self.workspace, self.workspace.phases[name]
        assert isinstance(phase, TrainingPhase), name
        return PhaseRun(
            name=name,
            config=workspace.config,
            order=workspace.row_order(name),
            learning_rate=phase.learning_rate,
            weight_decay=phase.weight_decay,
            run_dir=workspace.run_dir(name),
            identity=workspace.identity(name),
            stores=workspace.stores,
            parent_digest=workspace.parent_digest(name),
            policy=workspace.checkpoint_policy(name),
            initial_state=functools.partial(self._initial_state, name),
            stop_step=stop_step,
            provenance=self.provenance,
            retrain_lost=self.retrain_lost,
            check_hold=check_hold,
            profile_steps=self.profile_steps,
            expected_step=self.expected_steps.get(name, 0),
            attempt=self.attempt,
        )

    def _initial_state(self, name: str) -> TrainState:
        phase, mesh = self.workspace.phases[name], self.program.mesh
        assert isinstance(phase, TrainingPhase), name
        initial = phase.config.initial_checkpoint
        if initial is not None:
            params = imported_params(self.workspace, initial, self.program.abstract_state.params)
            return state_from_params(self.workspace.config, mesh, params)
        if phase.parent is None:
            return self.program.initial_state(seed=phase.seeds.initialization_seed)
        parent = self._needed(phase.parent.name, phase.parent_step)
        if isinstance(phase.parent, AveragePhase):  # which has no optimizer state
            read = parent.read({"params": self.program.abstract_state.params}, is_part=True)
            return state_from_params(self.workspace.config, mesh, read["params"])
        return branch_state(
            self.workspace.config,
            mesh,
            parent.read(self.program.abstract_state),
            carry_optimizer=phase.config.carry_optimizer,
        )

    def _kept_params(self, name: str, step: int) -> Params | None:
        """Returns the parameters of a phase at `step`, None without a whole checkpoint of it."""
        wanted = {"params": self.program.abstract_state.params}
        whole = self._whole(name, step)
        return None if whole is None else whole.read(wanted, is_part=True)["params"]

    def _whole(self, name: str, step: int) -> WholeCheckpoint | None:
        """Returns a whole checkpoint of a phase at `step`, or None; says what is damaged."""
        whole, damage = phase_checkpoints(self.workspace, name).whole(step)
        if damage:
            self.console.print(f"{name}: damaged checkpoint: {damage}", soft_wrap=True)
        if whole is not None:
            check_identity(whole.record.identity, self.workspace.identity(name), where=whole.folder)
        return whole

    def _kept_params_if_there(self, name: str, step: int) -> Params | None:
        """Returns the parameters, None if the checkpoint is deleted; holds it while it is read."""
        checkpoints = phase_checkpoints(self.workspace, name)
        with ExitStack() as stack:
            lease = reading(checkpoints.directory, step)
            if not decide("the lease of a checkpoint", lambda: stack.enter_context(lease)):
                return None
            try:
                return self._kept_params(name, step)
            except Exception:  # it was deleted just before the lease, or the lease expired
                if step in checkpoints.steps():
                    raise
                return None

    def _needed(self, name: str, step: int) -> WholeCheckpoint:
        """Returns the checkpoint of a phase at `step`; makes it again if it was not saved."""
        whole = self._whole(name, step)
        if whole is None:
            if isinstance(self.workspace.phases[name], AveragePhase):
                self._average(name)
            else:
                self._train_again(name, step)
            whole = self._whole(name, step)
        assert whole is not None, f"{name} was made up to step {step} and not saved"
        return whole

    def _train_again(self, name: str, step: int) -> None:
        """Trains up to a step whose checkpoint is needed and was not saved."""
        self.console.print(f"{name}: training up to step {step:,}, whose checkpoint is needed")
        with (
            self._held(self.workspace.run_dir(name)) as check_hold,
            process_stopwatch().spent("rebuild"),
        ):
            phase_run = self._phase_run(name, stop_step=step, check_hold=check_hold)
            phase_run = dataclasses.replace(
                phase_run, policy=phase_run.policy.keeping(step), is_rebuild=True, profile_steps=0
            )
            self._trainer(phase_run, Stopwatch()).run()

    def _held(self, run_dir: epath.Path) -> AbstractContextManager[Callable[[], None]]:
        return held(run_dir, functools.partial(self.console.print, soft_wrap=True))

    def _write_run_json(self, name: str) -> None:
        path, record = self.workspace.run_dir(name) / "run.json", run_record(self.workspace, name)
        decide("the description of the run", lambda: write_json(path, record, indent=None))
