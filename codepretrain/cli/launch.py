"""The commands `launch …`: a study on machines. This file has `submit`.

The commands about a job are in `launch_*.py`, a file per family, each with an `add_commands`.
"""

import argparse
import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codepretrain.cli import launch_host, launch_keep, launch_logs, launch_requests, launch_status
from codepretrain.cli.interop import Add
from codepretrain.cli.launch_follow import follow
from codepretrain.cli.prepare_command import prepare_command
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files.writable import check_writable
from codepretrain.launch.fit import check_fit
from codepretrain.launch.load_machine import load_machine
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.other_jobs import shared_phases
from codepretrain.launch.start_machines import check_access, describe_start
from codepretrain.launch.submission import (
    Submission,
    Submitted,
    prepare_submission,
    write_submission,
)

# Environment variables whose values must not be in any file of a job.
_SECRETS = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_KEY", re.I)


def add_commands(add: Add, add_job_command: Add) -> None:
    """Adds the commands and their flags to the command line.

    Args:
      add: adds a command that takes a study.
      add_job_command: adds a command about a job.
    """
    submit = add("submit", _submit, "check a study and a machine, and start a job")
    submit.epilog = (
        "Fields are overridden by --config.path.to.field=value and --machine.path.to.field=value."
    )
    submit.add_argument("--machine", required=True, metavar="FILE", help="machine file")
    submit.add_argument("--phase", action="append", help="only this phase and its ancestors")
    submit.add_argument(
        "--evaluations",
        choices=("in-loop", "apart"),
        default="in-loop",
        help="apart: on a slice of their own, on permanent checkpoints (default: in-loop)",
    )
    submit.add_argument(
        "--check-fit", action="store_true", help="compile the step for the machine first (30 s)"
    )
    submit.add_argument(
        "--dry-run", action="store_true", help="print what would be done, and create nothing"
    )
    submit.add_argument("--yes", action="store_true", help="start it in spite of warnings")
    submit.add_argument(
        "--detach", action="store_true", help="return at once instead of following the status"
    )
    for family in (launch_host, launch_keep, launch_requests, launch_status, launch_logs):
        family.add_commands(add_job_command)


def _submit(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    launch = load_machine(flags.machine, flags.machine_overrides)
    check_writable(flags.workdir, name="--workdir")
    submission = _prepared(config, launch, flags, argv)
    _print_checks(submission)
    if flags.dry_run:
        print("\n".join(["", *describe_start(submission.job, submission.shipment)]))
        print("\nnothing was created", file=sys.stderr)
        return 0
    check_access(submission.job)
    _confirm(submission, flags)
    write_submission(submission)
    print(f"job {submission.job.name}")
    launch_keep.start(submission.job, submission.folder)
    return 0 if flags.detach else follow(submission.folder)


def _prepared(
    config: StudyConfig, launch: LaunchConfig, flags: argparse.Namespace, argv: list[str]
) -> Submission:
    import codepretrain
    from codepretrain.data.missing import missing_parts
    from codepretrain.study.workspace import Workspace

    workspace = Workspace(config, flags.workdir)
    plan = _plan(config, workspace)
    overrides = [argument for argument in argv if argument.startswith("--config.")]
    study = ["--config", flags.config, "--workdir", os.fspath(flags.workdir), *overrides]
    made = prepare_submission(
        Submitted(
            study=config,
            launch=launch,
            plan=plan,
            only=flags.phase or (),
            experiment=flags.config,
            workdir=flags.workdir,
            package=Path(codepretrain.__file__).parent,
            missing_data=missing_parts(config, workspace.data_dir),
            prepare_command=shlex.join(["codepretrain", *prepare_command(flags, argv)]),
            command_line=flags.command_line,
            secret_values=_secret_values(launch),
            evaluates_apart=flags.evaluations == "apart",
            finished=_finished(workspace, plan),
        ),
        now=datetime.now(UTC),
        check_fit=(lambda: check_fit(launch, study)) if flags.check_fit else None,
    )
    others = shared_phases(flags.workdir, made.job.stages)
    return dataclasses.replace(made, warnings=(*made.warnings, *others))


def _plan(config: StudyConfig, workspace: Any) -> dict[str, Any]:
    from codepretrain.study.describe import describe

    workspace.check_caps()
    workspace.check_imports()
    return describe(
        config,
        workspace.phases,
        source_sizes=workspace.source_sizes,
        imports=workspace.imports,
    )


def _finished(workspace: Any, plan: Mapping[str, Any]) -> list[str]:
    """Returns the phases that are trained, with every evaluation at their end."""
    from codepretrain.evals.identity import identity_digest
    from codepretrain.study.evaluations import kept_identities
    from codepretrain.study.progress import progress

    digests = {name: identity_digest(i) for name, i in kept_identities(workspace).items()}
    settled = [p["name"] for p in plan["phases"] if not p["fingerprint_is_provisional"]]
    return [name for name in settled if progress(workspace, name, digests) == "trained"]


def _secret_values(launch: LaunchConfig) -> dict[str, str]:
    """Returns the environment variables that hold secrets: by name, or as the machine says."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in launch.machine.secrets or _SECRETS.search(name)
    }


def _print_checks(submission: Submission) -> None:
    job = submission.job
    names = ", ".join(stage.name for stage in job.stages)
    lines = [
        f"study {job.study}: {names}",
        *submission.notes,
        f"bundle {submission.bundle.sha256[:12]}: {', '.join(submission.bundle.files)}",
        *(f"warning: {warning}" for warning in submission.warnings),
    ]
    print("\n".join(lines), flush=True)


def _confirm(submission: Submission, flags: argparse.Namespace) -> None:
    """Asks whether to start a job with warnings, such as one that exceeds its budget.

    Raises:
      UserError: the answer is no, or nobody can be asked.
    """
    if not submission.warnings or flags.yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(f"{submission.warnings[0]}; start it anyway with --yes")
    if input("Start it anyway? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("not started")
