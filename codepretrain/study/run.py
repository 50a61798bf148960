"""Does what is missing of a study: prepare → train → evaluate → report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from rich.console import Console

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.hosts import from_primary
from codepretrain.metrics.copies import check_installed
from codepretrain.report.collect import PhaseInput, ReportInput
from codepretrain.report.write import write_report
from codepretrain.rows.data_dir import is_prepared
from codepretrain.rows.format import rows_directory
from codepretrain.stream.show_batch import list_batch, render_batch
from codepretrain.study.describe import describe
from codepretrain.study.provenance import code_version
from codepretrain.study.runner import Runner
from codepretrain.study.workspace import Workspace, normalized_mixture
from codepretrain.train.program import Program


def run_study(
    config: StudyConfig,
    workdir: Path,
    *,
    prepare: Callable[[], None],
    command_line: str,
    environment: Mapping[str, str] | None = None,
    profile_steps: int = 0,
) -> None:
    """Prepares the data if it is missing, trains what is missing, and reports.

    Args:
      prepare: prepares the data in another process, so that this one never imports TensorFlow.
      command_line, environment: how the process was started, for the provenance.
      profile_steps: steps of each phase to profile, 0 for none.

    Raises:
      UserError: anything that can be known to fail, before the first phase starts.
      Interrupted: by a signal, with everything saved.
    """
    study = Workspace(config, workdir)
    check_installed(config.logging)
    study.check_caps()
    study.check_imports()
    Program(config)  # says now what does not fit the devices
    if from_primary(not is_prepared(config, study.data_dir)):
        if jax.process_index() == 0:
            prepare()
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("prepared")
    train_phases(
        config,
        workdir,
        command_line=command_line,
        environment=environment,
        profile_steps=profile_steps,
    )
    if jax.process_index() == 0:
        report_study(config, workdir, command_line=command_line)


def train_phases(
    config: StudyConfig,
    workdir: Path,
    *,
    only: Sequence[str] | None = None,
    command_line: str = "",
    environment: Mapping[str, str] | None = None,
    profile_steps: int = 0,
) -> None:
    """Trains the phases that are missing, or those named in `only` with what they need."""
    study = Workspace(config, workdir)
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
    runner = Runner(
        study, console, command_line, environment=environment, profile_steps=profile_steps
    )
    for name in missing:
        runner.train(name)


def evaluate_phases(
    config: StudyConfig,
    workdir: Path,
    *,
    only: Sequence[str] | None = None,
    step: int | None = None,
    command_line: str = "",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs the evaluations that a phase's checkpoint lacks; by default at the end of each phase."""
    study = Workspace(config, workdir)
    names = _named(study, only)
    runner = Runner(study, Console(), command_line, environment=environment)
    for name in names:
        runner.evaluate(name, study.phases[name].num_steps if step is None else step)


def report_study(config: StudyConfig, workdir: Path, *, command_line: str) -> Path:
    """Writes the page, prints the table, and returns the page's path."""
    study = Workspace(config, workdir)
    plan = describe(config, study.phases, source_sizes=study.source_sizes, imports=study.imports)
    phases = {
        phase["name"]: PhaseInput.from_plan(
            phase,
            run_dir=study.run_dir(phase["name"]),
            mixture=normalized_mixture(study.phases[phase["name"]]),
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
        details={
            "parameters": f"{plan['phases'][0]['parameters']:,}",
            "parameters without embeddings": f"{plan['phases'][0]['parameters_non_embedding']:,}",
        },
    )
    console = Console()
    page = write_report(spec, workdir / "reports" / config.name, console=console)
    console.print(f"report: {page}", soft_wrap=True)
    return page


def show_batch(
    config: StudyConfig, workdir: Path, *, phase_name: str, step: int
) -> tuple[str, dict[str, Any]]:
    """Returns the listing of one batch, as text and as values; needs no accelerator."""
    study = Workspace(config, workdir)
    [name] = _named(study, [phase_name])
    listing = list_batch(
        study.row_order(name), study.stores, step=step, parent_digest=study.parent_digest(name)
    )
    return render_batch(listing), {"phase": name, **listing}


def _wanted(study: Workspace, only: Sequence[str] | None) -> list[str]:
    """Returns the phases to train, ancestors first, each fingerprint once."""
    wanted = {p.name for name in _named(study, only) for p in study.phases[name].path}
    seen: dict[str, str] = {}
    for name in study.phases:
        if name in wanted:
            seen.setdefault(study.fingerprint(name), name)
    return list(seen.values())


def _named(study: Workspace, only: Sequence[str] | None) -> list[str]:
    for name in only or ():
        if name not in study.phases:
            raise UserError(f"there is no phase {name!r}{suggestion(name, list(study.phases))}")
    return list(only or study.phases)
