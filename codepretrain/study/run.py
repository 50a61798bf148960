"""Runs the missing stages of a study: prepare → train → evaluate → report.

Every process of a job runs the same command. Process 0 decides what is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator, build_evaluators
from codepretrain.evals.registry import check_machine
from codepretrain.hosts import decide, gather
from codepretrain.rows.data_dir import is_prepared
from codepretrain.study.evaluations import keep_identities
from codepretrain.study.opening import check_same_start, open_workspace
from codepretrain.study.phase_params import check_step, phase_checkpoints
from codepretrain.study.progress import Progress, progress
from codepretrain.study.provenance import provenance
from codepretrain.study.registration import keep_contrasts
from codepretrain.study.report import report_study
from codepretrain.study.runner import Runner
from codepretrain.study.selection import named_phases, phases_to_train
from codepretrain.study.watch import watch
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program

_PREPARATION_S = 30 * 24 * 3600.0  # the other processes wait without a limit


def run_study(
    workspace: Workspace,
    *,
    prepare: Callable[[], None],
    prepare_command: str,
    check_raw_files: Callable[[], None],
    command_line: str,
    environment: Mapping[str, str] | None = None,
    retrain_lost: bool = False,
    profile_steps: int = 0,
    attempt: str = "",
) -> None:
    """Prepares missing data, trains missing phases, and reports.

    Args:
      prepare: prepares the data, in another process.
      prepare_command: does the same on the command line. A run of several processes only names it:
        preparation is a job of one machine, and no accelerator waits for it.
      check_raw_files: raises UserError if prepared data is not of the raw files of today.
      command_line, environment: how the process was started, for the provenance.
      retrain_lost: train again what lost checkpoints held.
      profile_steps: steps of each phase to profile, 0 for none.
      attempt: processes of another attempt do not join this run.

    Raises:
      UserError: anything that can be checked before the first phase starts.
      Interrupted: by a signal, with everything saved.
    """
    config = workspace.config
    check_same_start(
        config, attempt=attempt, name="run", retrain_lost=retrain_lost, profile=profile_steps
    )
    program = _program(config)
    workspace = open_workspace(workspace)
    decide("whether this machine can run the evaluations", lambda: check_machine(config))
    if not decide("whether the data is prepared", lambda: is_prepared(config, workspace.data_dir)):
        if jax.process_count() > 1:
            raise UserError(
                f"the data of this study is not prepared in {workspace.data_dir}: run "
                f"`{prepare_command}` on one machine first, then rerun this command"
            )
        decide("the preparation of the data", prepare, wait_s=_PREPARATION_S)
        workspace = open_workspace(workspace)  # now with the sizes of the sources
    else:
        decide("whether the raw files changed", check_raw_files, wait_s=_PREPARATION_S)
    _train(
        workspace,
        program,
        phases_to_train(workspace, None),
        named=named_phases(workspace, None),
        provenance=provenance(program, command_line=command_line, environment=environment or {}),
        retrain_lost=retrain_lost,
        profile_steps=profile_steps,
        attempt=attempt,
    )
    decide("the report", lambda: str(report_study(workspace, command_line=command_line)))


def train_phases(
    workspace: Workspace,
    *,
    only: Sequence[str] | None = None,
    command_line: str = "",
    environment: Mapping[str, str] | None = None,
    retrain_lost: bool = False,
    profile_steps: int = 0,
    evaluates: bool = True,
    attempt: str = "",
    expected_step: int = 0,
) -> None:
    """Trains the phases that are missing, or those named in `only` with their ancestors.

    Args:
      evaluates: run the evaluations; otherwise they are left to `evaluate`.
      attempt: processes of another attempt do not join this run.
      expected_step: a step of the phase in `only` that was saved: resuming from an earlier one is
        an error.
    """
    check_same_start(
        workspace.config,
        attempt=attempt,
        name="train",
        expected_step=expected_step,
        phases=list(only or ()),
        evaluates=evaluates,
        retrain_lost=retrain_lost,
        profile=profile_steps,
    )
    program = _program(workspace.config)
    workspace = open_workspace(workspace)
    _train(
        workspace,
        program,
        phases_to_train(workspace, only),
        named=named_phases(workspace, only),
        provenance=provenance(program, command_line=command_line, environment=environment or {}),
        retrain_lost=retrain_lost,
        profile_steps=profile_steps,
        evaluates=evaluates,
        expected_steps={only[0]: expected_step} if only and len(only) == 1 else {},
        attempt=attempt,
    )


def evaluate_phases(
    workspace: Workspace,
    *,
    only: Sequence[str] | None = None,
    step: int | None = None,
    watch_poll_s: float | None = None,
    watches_temporary: bool = False,
    attempt: str = "",
    command_line: str = "",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs the evaluations that a phase's checkpoint lacks; by default at the end of each phase.

    Args:
      watch_poll_s: evaluate the permanent checkpoints of the phases, as another job trains them,
        and look for new ones after so many seconds; None evaluates what there is.
      watches_temporary: the temporary checkpoints too.
      attempt: processes of another attempt do not join this run.

    Raises:
      UserError: a phase has no checkpoint of its step. Nothing is computed then.
    """
    check_same_start(
        workspace.config,
        attempt=attempt,
        name="evaluate",
        phases=list(only or ()),
        step=step,
        watch_poll_s=watch_poll_s,
        watches_temporary=watches_temporary,
    )
    program = _program(workspace.config)
    workspace = open_workspace(workspace)
    names = named_phases(workspace, only)
    steps = {n: workspace.phases[n].num_steps if step is None else step for n in names}
    decide("whether this machine can run the evaluations", lambda: check_machine(workspace.config))
    if watch_poll_s is None:
        for name in names:
            check_step(workspace, name, steps[name], command=command_line)
    _keep_contrasts(workspace)
    start = provenance(program, command_line=command_line, environment=environment or {})
    console = Console(quiet=jax.process_index() > 0)
    runner = Runner(workspace, program, _evaluators(workspace, program, console), console, start)
    if watch_poll_s is not None:
        watch(
            workspace,
            runner,
            names,
            console,
            poll_s=watch_poll_s,
            includes_temporary=watches_temporary,
        )
        return
    for name in names:
        runner.evaluate(name, steps[name])


def _program(config: StudyConfig) -> Program:
    """Returns the program; if it does not fit the devices of one process, all processes raise."""
    built: list[Program] = []
    gather("its program", lambda: built.append(Program(config)))
    return built[0]


def _keep_contrasts(workspace: Workspace) -> None:
    decide("the registered contrasts", lambda: keep_contrasts(workspace))


def _evaluators(workspace: Workspace, program: Program, console: Console) -> list[Evaluator]:
    """Returns the evaluators of the study; process 0 keeps their identities for the report."""
    evaluators = build_evaluators(
        workspace.config, workspace.data_dir, program.mesh, console=console
    )
    identities = {evaluator.name: evaluator.identity for evaluator in evaluators}
    decide("the identities of the evaluations", lambda: keep_identities(workspace, identities))
    return evaluators


def _train(
    workspace: Workspace,
    program: Program,
    names: Sequence[str],
    *,
    named: Sequence[str],
    provenance: Mapping[str, Any],
    retrain_lost: bool,
    profile_steps: int,
    evaluates: bool = True,
    expected_steps: Mapping[str, int] | None = None,
    attempt: str = "",
) -> None:
    """Trains and evaluates what is missing of the phases `names`.

    Args:
      named: the phases that the user asked for; the others are their ancestors.
      expected_steps: phase → a step that was saved.
    """
    gather("its rows", lambda: bool(workspace.stores))
    console = Console(quiet=jax.process_index() > 0)
    _keep_contrasts(workspace)
    evaluators = _evaluators(workspace, program, console) if evaluates else []
    digests = {evaluator.name: evaluator.digest for evaluator in evaluators}
    left = decide(
        "what is trained", lambda: {name: progress(workspace, name, digests) for name in names}
    )
    asked = {workspace.fingerprint(name) for name in named}
    for name in names:
        if left[name] not in ("trained", "scores lost"):
            continue
        retrains = retrain_lost and workspace.fingerprint(name) in asked
        is_lost = _end_is_lost(workspace, name, verify=retrains)
        if is_lost and retrains:
            left[name] = "to train"
        else:
            _print_trained(console, workspace, name, left[name], is_lost=is_lost)
            left[name] = "trained"
    if all(state == "trained" for state in left.values()):
        return
    runner = Runner(
        workspace,
        program,
        evaluators,
        console,
        provenance,
        retrain_lost=retrain_lost,
        profile_steps=profile_steps,
        expected_steps=expected_steps,
        attempt=attempt,
    )
    for name in names:
        if left[name] == "to evaluate" and runner.evaluate_end(name):
            continue
        if left[name] != "trained":
            runner.train(name)


def _end_is_lost(workspace: Workspace, name: str, *, verify: bool) -> bool:
    """Returns whether a trained phase lacks its last checkpoint; `verify`: or it is damaged."""
    step = workspace.phases[name].num_steps
    checkpoints = phase_checkpoints(workspace, name)
    return not (checkpoints.has_whole(step) if verify else step in checkpoints.steps())


def _print_trained(
    console: Console, workspace: Workspace, name: str, state: Progress, *, is_lost: bool
) -> None:
    line = f"{name}: trained already ({workspace.run_dir(name)})"
    if state == "scores lost":
        line += "; item scores of its evaluations are lost"
    if is_lost:
        line += (
            f"; its checkpoint of step {workspace.phases[name].num_steps:,} is gone: restore it "
            f"from a copy, or train again with --phase {name} --retrain-lost"
        )
    console.print(line, soft_wrap=True)
