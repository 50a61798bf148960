"""Trains and evaluates single phases of a study, with one compiled program for all of them."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.config.parse import to_dict
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator, build_evaluators
from codepretrain.evals.recording import record_evaluation
from codepretrain.files import jsonl
from codepretrain.files.lock import exclusive
from codepretrain.hosts import from_primary
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.study.exchange import imported_params
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program
from codepretrain.train.state import TrainState, branch_state, state_from_params
from codepretrain.train.trainer import PhaseRun, Trainer, check_identity


class Runner:
    """`provenance` (command, machine, code version) are kept with every run."""

    def __init__(self, study: Workspace, console: Console, provenance: Mapping[str, Any]) -> None:
        self.study = study
        self.console = console
        self.provenance = provenance
        self.program = Program(study.config)
        if jax.process_index() == 0:
            console.print(self.program.description(), highlight=False, soft_wrap=True)
        self.evaluators: list[Evaluator] = build_evaluators(
            study.config, study.data_dir, self.program.mesh, console=console
        )

    def train(self, name: str) -> None:
        """Trains a phase from where it stands, its parent's checkpoint being there or remade."""
        study, phase = self.study, self.study.phases[name]
        run_dir = study.run_dir(name)
        with _held(run_dir):
            if jax.process_index() == 0:
                self._write_run_json(name, run_dir)
            self._trainer(self._job(name, stop_step=phase.num_steps)).run()

    def evaluate(self, name: str, step: int) -> None:
        """Runs the evaluations that are not recorded for the checkpoint of `step`."""
        study = self.study
        run_dir = study.run_dir(name)
        with (
            _held(run_dir),
            MetricsWriter(
                run_dir,
                study.config.logging,
                name,
                resumed_step=study.phases[name].num_steps,
                process_index=jax.process_index(),
            ) as writer,
        ):
            state = self._kept(name, step)
            if state is None:
                steps = ", ".join(map(str, self._checkpoints(name).steps())) or "none"
                raise UserError(
                    f"phase {name!r} has no whole checkpoint of step {step:,}; there are: {steps}"
                )
            step_tokens = study.phases[name].tokens // study.phases[name].num_steps
            for evaluator in self.evaluators:
                if writer.has_evaluation(step, evaluator.name):
                    continue
                record_evaluation(
                    evaluator, state.params, writer, run_dir, step=step, tokens=step * step_tokens
                )

    def _trainer(self, job: PhaseRun) -> Trainer:
        return Trainer(job, self.program, self.evaluators, self.console)

    def _job(self, name: str, *, stop_step: int) -> PhaseRun:
        study, phase = self.study, self.study.phases[name]
        return PhaseRun(
            name=name,
            config=study.config,
            plan=study.plan(name),
            learning_rate=phase.learning_rate,
            weight_decay=phase.weight_decay,
            run_dir=study.run_dir(name),
            identity=study.identity(name),
            stores=study.stores,
            parent_digest=study.parent_digest(name),
            permanent_steps=study.permanent_steps(name),
            initial_state=functools.partial(self._initial_state, name),
            stop_step=stop_step,
            provenance=self.provenance,
        )

    def _initial_state(self, name: str) -> TrainState:
        phase = self.study.phases[name]
        initial = phase.config.initial_checkpoint
        if initial is not None:
            params = imported_params(self.study, initial, self.program.abstract_state.params)
            return state_from_params(self.study.config, self.program.mesh, params)
        if phase.parent is None:
            return self.program.initial_state()
        parent = self._state_at(phase.parent.name, phase.parent_step)
        return branch_state(
            self.study.config,
            self.program.mesh,
            parent,
            carry_optimizer=phase.config.carry_optimizer,
        )

    def _kept(self, name: str, step: int) -> TrainState | None:
        """Returns the state of a phase at `step`, None if no whole checkpoint of it is there."""
        study, checkpoints = self.study, self._checkpoints(name)
        restored = checkpoints.restore(self.program.abstract_state, step=step)
        for problem in restored.damaged:
            self.console.print(f"{name}: damaged checkpoint: {problem}", soft_wrap=True)
        if restored.state is not None:
            check_identity(restored.identity, study.identity(name), where=checkpoints.path(step))
        return restored.state

    def _checkpoints(self, name: str) -> Checkpoints:
        """The checkpoints of a phase, to read from."""
        folder = self.study.run_dir(name) / "checkpoints"
        return Checkpoints(folder, self.study.config.checkpoint, permanent_steps=())

    def _state_at(self, name: str, step: int) -> TrainState:
        """Returns the state of a phase at `step`; trains up to there again if it is not kept."""
        state = self._kept(name, step)
        if state is not None:
            return state
        self.console.print(f"{name}: training up to step {step:,}, whose checkpoint is needed")
        with _held(self.study.run_dir(name)):
            job = dataclasses.replace(
                self._job(name, stop_step=step),
                permanent_steps=self.study.permanent_steps(name) | {step},
                is_rebuild=True,
            )
            self._trainer(job).run()
        state = self._kept(name, step)
        assert state is not None, f"{name} was trained to step {step} and not saved"
        return state

    def _write_run_json(self, name: str, run_dir: Path) -> None:
        study, phase = self.study, self.study.phases[name]
        record = {
            "study": study.config.name,
            "phase": name,
            "fingerprint": study.fingerprint(name),
            "parent": phase.parent.name if phase.parent else None,
            "parent_fingerprint": study.fingerprint(phase.parent.name) if phase.parent else None,
            "parent_step": phase.parent_step if phase.parent else None,
            "initial_checkpoint": phase.config.initial_checkpoint,
            "steps": phase.num_steps,
            "tokens": phase.tokens,
            **self.provenance,
            "identity": study.identity(name),
            "config": to_dict(study.config),
        }
        jsonl.write_atomically(run_dir / "run.json", jsonl.encode(record) + "\n")


@contextmanager
def _held(run_dir: Path) -> Iterator[None]:
    """Holds the run for this job: process 0 takes the lock, and all end if it cannot."""
    problem = ""
    with ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                stack.enter_context(exclusive(run_dir))
            except UserError as error:
                problem = str(error)
        if from_primary(bool(problem)):
            raise UserError(problem or f"process 0 could not lock {run_dir}; it says why")
        yield
