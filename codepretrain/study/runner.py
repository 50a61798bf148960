"""Trains and evaluates single phases of a study, with one compiled program for all of them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
from etils import epath
from rich.console import Console

from codepretrain.checkpoint.reading import reading
from codepretrain.config.parse import to_dict
from codepretrain.evals.build import Evaluator
from codepretrain.files.atomic import write_json
from codepretrain.files.lease import Lease, exclusive
from codepretrain.hosts import decide
from codepretrain.metrics.evaluation_records import watch_folder
from codepretrain.metrics.starts import record_start
from codepretrain.metrics.stopwatch import Stopwatch, process_stopwatch
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params
from codepretrain.study.exchange import imported_params
from codepretrain.study.missing_checkpoint import missing_checkpoint
from codepretrain.study.phase_params import phase_checkpoints
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
        """Trains a phase to its end, from its newest checkpoint or its parent's."""
        run_dir, num_steps = self.workspace.run_dir(name), self.workspace.phases[name].num_steps
        with self._held(run_dir) as check_hold:
            decide("the description of the run", lambda: self._write_run_json(name, run_dir))
            phase_run = self._phase_run(name, stop_step=num_steps, check_hold=check_hold)
            self._trainer(phase_run, process_stopwatch()).run()

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
            missing = self._missing_evaluations(writer, step)
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

    def _missing_evaluations(self, writer: MetricsWriter, step: int) -> list[Evaluator]:
        """Returns the evaluations that process 0 does not find recorded."""
        names = decide(
            "the recorded evaluations",
            lambda: [
                e.name for e in self.evaluators if not writer.has_evaluation(step, e.name, e.digest)
            ],
        )
        return [evaluator for evaluator in self.evaluators if evaluator.name in names]

    def _trainer(self, phase_run: PhaseRun, watch: Stopwatch) -> Trainer:
        return Trainer(phase_run, self.program, self.evaluators, self.console, watch)

    def _phase_run(self, name: str, *, stop_step: int, check_hold: Callable[[], None]) -> PhaseRun:
        workspace, phase = self.workspace, self.workspace.phases[name]
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
        phase = self.workspace.phases[name]
        initial = phase.config.initial_checkpoint
        if initial is not None:
            params = imported_params(self.workspace, initial, self.program.abstract_state.params)
            return state_from_params(self.workspace.config, self.program.mesh, params)
        if phase.parent is None:
            return self.program.initial_state(seed=phase.seeds.initialization_seed)
        parent = self._state_at(phase.parent.name, phase.parent_step)
        return branch_state(
            self.workspace.config,
            self.program.mesh,
            parent,
            carry_optimizer=phase.config.carry_optimizer,
        )

    def _kept(self, name: str, step: int) -> TrainState | None:
        """Returns the state of a phase at `step`, None if there is no whole checkpoint of it."""
        return self._restored(name, step, self.program.abstract_state)

    def _kept_params(self, name: str, step: int) -> Params | None:
        """Returns the parameters alone: what evaluations need."""
        wanted = {"params": self.program.abstract_state.params}
        restored = self._restored(name, step, wanted, is_part=True)
        return None if restored is None else restored["params"]

    def _restored(self, name: str, step: int, wanted: Any, *, is_part: bool = False) -> Any:
        """Returns what a whole checkpoint has of `wanted`, or None; says what is damaged."""
        checkpoints = phase_checkpoints(self.workspace, name)
        restored = checkpoints.restore(wanted, step=step, is_part=is_part)
        for problem in restored.damaged.values():
            self.console.print(f"{name}: damaged checkpoint: {problem}", soft_wrap=True)
        if restored.state is not None:
            check_identity(
                restored.identity, self.workspace.identity(name), where=checkpoints.path(step)
            )
        return restored.state

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

    def _state_at(self, name: str, step: int) -> TrainState:
        """Returns the state of a phase at `step`; trains up to there again if it was not saved."""
        state = self._kept(name, step)
        if state is not None:
            return state
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
        state = self._kept(name, step)
        assert state is not None, f"{name} was trained to step {step} and not saved"
        return state

    @contextmanager
    def _held(self, run_dir: epath.Path) -> Iterator[Callable[[], None]]:
        """Holds the run for this job: process 0 takes the hold, and all end if it cannot.

        Yields a function that raises if the hold is lost; only process 0 may call it.
        """
        announce = functools.partial(self.console.print, soft_wrap=True)
        with ExitStack() as stack:
            leases: list[Lease] = []
            decide(
                f"the hold of {run_dir}",
                lambda: leases.append(stack.enter_context(exclusive(run_dir, announce=announce))),
            )
            yield leases[0].check if leases else _not_asked

    def _write_run_json(self, name: str, run_dir: epath.Path) -> None:
        workspace, phase = self.workspace, self.workspace.phases[name]
        parent = phase.parent.name if phase.parent else None
        record = {
            "study": workspace.config.name,
            "phase": name,
            "fingerprint": workspace.fingerprint(name),
            "parent": parent,
            "parent_fingerprint": workspace.fingerprint(parent) if parent else None,
            "parent_step": phase.parent_step if parent else None,
            "initial_checkpoint": phase.config.initial_checkpoint,
            "steps": phase.num_steps,
            "tokens": phase.tokens,
            "identity": workspace.identity(name),
            "config": to_dict(workspace.config),
        }
        write_json(run_dir / "run.json", record, indent=None)


def _not_asked() -> None:
    raise AssertionError("only process 0 holds the run")
