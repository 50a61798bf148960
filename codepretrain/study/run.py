"""Does what is missing of a study: prepare → train → evaluate → report."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from rich.console import Console

from codepretrain import jsonl
from codepretrain.checkpoint import Checkpoints
from codepretrain.config import StudyConfig
from codepretrain.config_parse import suggestion, to_dict
from codepretrain.data.settings import is_prepared
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator, build_evaluators
from codepretrain.hosts import from_primary
from codepretrain.lock import exclusive
from codepretrain.metrics import MetricsWriter, check_installed
from codepretrain.program import Program
from codepretrain.report.collect import PhaseInput, ReportInput
from codepretrain.report.write import write_report
from codepretrain.row import rows_directory
from codepretrain.state import TrainState, branch_state
from codepretrain.stream.replay import render_replay, replay
from codepretrain.study.plan import describe
from codepretrain.study.provenance import code_version, machine_facts
from codepretrain.study.study import Study, normalised_mixture
from codepretrain.trainer import Job, Trainer, check_identity, record_evaluation


def run_study(
    config: StudyConfig, workdir: Path, *, prepare: Callable[[], None], command_line: str
) -> None:
    """Prepares the data if it is missing, trains what is missing, and reports.

    prepare: prepares the data in another process, so that this one never imports TensorFlow.

    Raises:
      UserError: anything that can be known to fail, before the first phase starts.
      Interrupted: by a signal, with everything saved.
    """
    study = Study(config, workdir)
    check_installed(config.logging)
    study.check_caps()
    if not is_prepared(config, study.data_dir):
        if jax.process_index() == 0:
            prepare()
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("prepared")
    train_phases(config, workdir, command_line=command_line)
    if jax.process_index() == 0:
        report_study(config, workdir, command_line=command_line)


def train_phases(
    config: StudyConfig, workdir: Path, *, only: Sequence[str] | None = None, command_line: str
) -> None:
    """Trains the phases that are missing, or those named in `only` with what they need."""
    study = Study(config, workdir)
    check_installed(config.logging)
    names = _wanted(study, only)
    study.check_caps()
    assert study.stores
    console = Console()
    missing = [name for name in names if not study.is_complete(name)]
    for name in sorted({*names} - {*missing}):
        console.print(f"{name}: trained already ({study.run_dir(name)})", soft_wrap=True)
    if not missing:
        return
    runner = _Runner(study, console, {"command": command_line, **machine_facts()})
    for name in missing:
        runner.train(name)


def evaluate_phases(
    config: StudyConfig,
    workdir: Path,
    *,
    only: Sequence[str] | None = None,
    step: int | None = None,
) -> None:
    """Runs the evaluations that a phase's checkpoint lacks; by default at the end of each phase."""
    study = Study(config, workdir)
    runner = _Runner(study, Console(), {})
    for name in _named(study, only):
        runner.evaluate(name, study.phases[name].num_steps if step is None else step)


def report_study(config: StudyConfig, workdir: Path, *, command_line: str) -> Path:
    """Writes the page, prints the table, and returns the page's path."""
    study = Study(config, workdir)
    plan = describe(config, study.phases, holdings=study.holdings)
    phases = {
        phase["name"]: PhaseInput.from_plan(
            phase,
            run_dir=study.run_dir(phase["name"]),
            mixture=normalised_mixture(study.phases[phase["name"]]),
        )
        for phase in plan["phases"]
    }
    spec = ReportInput(
        study=config.name,
        command=command_line,
        code_version=code_version(),
        baseline=config.baseline,
        variants={name: tuple(path) for name, path in plan["variants"].items()},
        phases=phases,
        rows={
            source: str(rows_directory(study.data_dir, source, "train").parent)
            for source in sorted(config.data.sources)
        },
        facts={
            "parameters": f"{plan['phases'][0]['parameters']:,}",
            "parameters without embeddings": f"{plan['phases'][0]['parameters_non_embedding']:,}",
        },
    )
    console = Console()
    page = write_report(spec, workdir / "reports" / config.name, console=console)
    console.print(f"report: {page}", soft_wrap=True)
    return page


def replay_batch(
    config: StudyConfig, workdir: Path, *, phase_name: str, step: int
) -> tuple[str, dict[str, Any]]:
    """Returns the listing of one batch, as text and as values; needs no accelerator."""
    study = Study(config, workdir)
    [name] = _named(study, [phase_name])
    listing = replay(
        study.plan(name), study.stores, step=step, parent_digest=study.parent_digest(name)
    )
    return render_replay(listing), {"phase": name, **listing}


class _Runner:
    """Trains and evaluates phases of one study with one compiled program."""

    def __init__(self, study: Study, console: Console, facts: Mapping[str, Any]) -> None:
        self.study = study
        self.console = console
        self.facts = facts
        self.program = Program(study.config)
        self.evaluators: list[Evaluator] = build_evaluators(
            study.config, study.data_dir, self.program.mesh
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
            state = self._checkpoint(name, step)
            step_tokens = study.phases[name].tokens // study.phases[name].num_steps
            for evaluator in self.evaluators:
                if writer.has_evaluation(step, evaluator.name):
                    continue
                record_evaluation(
                    evaluator, state.params, writer, run_dir, step=step, tokens=step * step_tokens
                )

    def _trainer(self, job: Job) -> Trainer:
        return Trainer(job, self.program, self.evaluators, self.console)

    def _job(self, name: str, *, stop_step: int) -> Job:
        study, phase = self.study, self.study.phases[name]
        return Job(
            name=name,
            config=study.config,
            plan=study.plan(name),
            learning_rate=phase.learning_rate,
            weight_decay=phase.weight_decay,
            run_dir=study.run_dir(name),
            identity=study.identity(name),
            stores=study.stores,
            parent_digest=study.parent_digest(name),
            keep_steps=study.keep_steps(name),
            initial_state=functools.partial(self._initial_state, name),
            stop_step=stop_step,
            facts=self.facts,
        )

    def _initial_state(self, name: str) -> TrainState:
        phase = self.study.phases[name]
        if phase.parent is None:
            return self.program.initial_state()
        parent = self._checkpoint(phase.parent.name, phase.parent_step)
        return branch_state(
            self.study.config,
            self.program.mesh,
            parent,
            carries_optimizer=phase.config.carries_optimizer,
        )

    def _checkpoint(self, name: str, step: int) -> TrainState:
        """Returns the state of a phase at `step`; trains up to there again if it is not kept."""
        study = self.study
        folder = study.run_dir(name) / "checkpoints"
        checkpoints = Checkpoints(
            folder, study.config.checkpoint, permanent_steps=frozenset({step})
        )
        try:
            restored = checkpoints.restore(self.program.abstract_state, step=step)
        finally:
            checkpoints.close()
        for problem in restored.damaged:
            self.console.print(f"{name}: damaged checkpoint: {problem}", soft_wrap=True)
        if restored.state is not None:
            check_identity(restored.identity, study.identity(name), where=folder / str(step))
            return restored.state
        self.console.print(f"{name}: training up to step {step:,}, whose checkpoint is needed")
        with _held(study.run_dir(name)):
            job = self._job(name, stop_step=step)
            self._trainer(dataclasses.replace(job, is_rebuild=True)).run()
        return self._checkpoint(name, step)

    def _write_run_json(self, name: str, run_dir: Path) -> None:
        study, phase = self.study, self.study.phases[name]
        record = {
            "study": study.config.name,
            "phase": name,
            "fingerprint": study.fingerprint(name),
            "parent": phase.parent.name if phase.parent else None,
            "parent_fingerprint": study.fingerprint(phase.parent.name) if phase.parent else None,
            "parent_step": phase.parent_step if phase.parent else None,
            "steps": phase.num_steps,
            "tokens": phase.tokens,
            **self.facts,
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


def _wanted(study: Study, only: Sequence[str] | None) -> list[str]:
    """Returns the phases to train, ancestors first, each fingerprint once."""
    wanted = {p.name for name in _named(study, only) for p in study.phases[name].path}
    seen: dict[str, str] = {}
    for name in study.phases:
        if name in wanted:
            seen.setdefault(study.fingerprint(name), name)
    return list(seen.values())


def _named(study: Study, only: Sequence[str] | None) -> list[str]:
    for name in only or ():
        if name not in study.phases:
            raise UserError(f"there is no phase {name!r}{suggestion(name, list(study.phases))}")
    return list(only or study.phases)
