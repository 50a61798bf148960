"""Does what is missing of a study: prepare → train → evaluate → report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from rich.console import Console

from codepretrain.config import StudyConfig
from codepretrain.config_parse import suggestion
from codepretrain.data.settings import is_prepared
from codepretrain.errors import UserError
from codepretrain.evals.build import require_sandbox
from codepretrain.hosts import from_primary
from codepretrain.metrics import check_installed
from codepretrain.program import Program
from codepretrain.report.collect import PhaseInput, ReportInput
from codepretrain.report.write import write_report
from codepretrain.row import rows_directory
from codepretrain.stream.replay import render_replay, replay
from codepretrain.study.plan import describe
from codepretrain.study.provenance import code_version, machine_facts
from codepretrain.study.runner import Runner
from codepretrain.study.study import Study, normalised_mixture


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
    study.check_imports()
    Program(config)  # says now what does not fit the devices
    require_sandbox(config)
    if from_primary(not is_prepared(config, study.data_dir)):
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
    study.check_imports()
    assert study.stores
    console = Console()
    missing = [name for name in names if not study.is_complete(name)]
    for name in sorted({*names} - {*missing}):
        console.print(f"{name}: trained already ({study.run_dir(name)})", soft_wrap=True)
    if not missing:
        Program(config)  # a mistake in the execution is told even so
        return
    runner = Runner(study, console, {"command": command_line, **machine_facts()})
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
    names = _named(study, only)
    runner = Runner(study, Console(), {})
    for name in names:
        runner.evaluate(name, study.phases[name].num_steps if step is None else step)


def report_study(config: StudyConfig, workdir: Path, *, command_line: str) -> Path:
    """Writes the page, prints the table, and returns the page's path."""
    study = Study(config, workdir)
    plan = describe(config, study.phases, holdings=study.holdings, imports=study.imports)
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
