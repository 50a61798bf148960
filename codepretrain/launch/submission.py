"""A job before it is started: all checks, then its folder. `launch submit` does both.

The checks are made in the order of their price, and nothing is written before the last one:
the study and the machine (when they are loaded), the working directory, whether the step fits (if
asked: it compiles), chip-hours and price against the budget, the data, the mesh, and the bundle.
"""

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from etils import epath

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted
from codepretrain.files import storage
from codepretrain.files.json_values import encode
from codepretrain.launch import gke
from codepretrain.launch.bundle import (
    STUDY,
    Bundle,
    check_no_secrets,
    make_bundle,
    write_bundle,
)
from codepretrain.launch.host_settings import Shipment, extras_for
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.load_machine import chips_per_slice, hosts_per_slice, slice_of
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.machine_mesh import check_slices
from codepretrain.launch.record_files import create_job
from codepretrain.launch.stages import expected_chip_hours, make_stages, phases_to_train

_MAX_STUDY = 20  # letters of a study's name in a job's, which is part of the names of pods
_MAX_POD_NAME = 63


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What is submitted.

    plan: what `codepretrain plan --json` prints. only: phases to train; all for none. experiment:
    the file of the study. package: the folder of the running package. missing_data: parts of the
    data that are not prepared, in words. prepare_command: the command that prepares it.
    secret_values: environment variable → value that must not enter any file. evaluates_apart:
    whether evaluations have a slice of their own. finished: phases that are trained and evaluated.
    """

    study: StudyConfig
    launch: LaunchConfig
    plan: Mapping[str, Any]
    only: Collection[str]
    experiment: str
    workdir: epath.Path
    package: Path
    missing_data: Sequence[str]
    prepare_command: str
    command_line: str
    secret_values: Mapping[str, str]
    evaluates_apart: bool = False
    finished: Collection[str] = ()

    @property
    def phases(self) -> list[Mapping[str, Any]]:
        """The phases that the job has something to do for."""
        return phases_to_train(self.plan, self.only, finished=self.finished)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job that could be started. notes: what was found. warnings: what the user must confirm."""

    job: Job
    bundle: Bundle
    folder: JobFolder
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def shipment(self) -> Shipment:
        return shipment_of(self.job)


def prepare_submission(
    given: Submitted, *, now: datetime, check_fit: Callable[[], str] | None = None
) -> Submission:
    """Returns the submission of a job; writes nothing.

    Args:
      check_fit: returns whether the step fits in one line, or raises; None to skip the check.

    Raises:
      UserError: the job cannot run.
    """
    launch, study = given.launch, given.study
    _check_workdir(given)
    _check_evaluations(given)
    if not given.phases:
        names = ", ".join(phase["name"] for phase in phases_to_train(given.plan, given.only))
        raise UserError(
            f"nothing is left to train or to evaluate of {names}: see `codepretrain report`"
        )
    notes = [check_fit() if check_fit else "fit: not checked (--check-fit compiles the step)"]
    if given.finished:
        notes.append(f"trained and evaluated already: {', '.join(given.finished)}")
    hours, warnings = _hours_and_price(given, given.phases)
    notes += hours
    warnings += _paths_of_this_machine(given)
    if given.evaluates_apart and launch.machine.num_slices == 1:
        notes.append("evaluations: after all phases are trained, for there is one slice")
    if _must_prepare(given):
        notes.append(f"data: prepared first; missing: {'; '.join(given.missing_data)}")
    bundle = make_bundle(
        study,
        launch,
        experiment=given.experiment,
        package=given.package,
        secret_values=given.secret_values,
    )
    name = job_name(study.name, now)
    folder = job_folder(given.workdir, name)
    job = _job(given, name, bundle, config=f"{folder.bundle / bundle.sha256 / STUDY}", now=now)
    check_no_secrets({"job.json": encode(to_dict(job)).encode()}, given.secret_values)
    _check_names(launch, name)
    slices, idle = check_slices(job)
    return Submission(
        job=job,
        bundle=bundle,
        folder=folder,
        notes=(*notes, *slices),
        warnings=(*warnings, *idle),
    )


def _job(given: Submitted, name: str, bundle: Bundle, *, config: str, now: datetime) -> Job:
    launch, study, machine = given.launch, given.study, given.launch.machine
    return Job(
        name=name,
        study=study.name,
        config=config,
        workdir=str(given.workdir),
        bundle=bundle.sha256,
        stages=make_stages(
            study,
            launch,
            given.phases,
            where=("--config", config, "--workdir", str(given.workdir)),
            prepares=bool(given.missing_data),
            reports=not given.only,
            evaluates_apart=given.evaluates_apart,
        ),
        launch=launch,
        hosts_per_slice=hosts_per_slice(machine),
        chips_per_host=chips_per_slice(machine) // hosts_per_slice(machine),
        price_per_chip_hour=study.cost.price_per_chip_hour,
        created_at=now.isoformat(timespec="seconds"),
        created_by=given.command_line,
        extras=extras_for(launch, evaluators=[e.kind for e in study.evals.values()]),
    )


def write_submission(submission: Submission) -> None:
    """Writes the bundle, then job.json: a job exists with everything that it needs.

    Raises:
      UserError: the working directory cannot be written.
    """
    write_bundle(submission.folder.bundle, submission.bundle)
    by = f"submit-{secrets.token_hex(4)}"
    if not create_job(submission.folder, submission.job, by=by):
        raise UserError(f"there is already a job {submission.job.name}: run the command again")


def shipment_of(job: Job) -> Shipment:
    """Returns what the hosts of a job run."""
    return Shipment(job=job.name, workdir=job.workdir, bundle=job.bundle, extras=job.extras)


def job_name(study: str, now: datetime) -> str:
    """Returns a new name, valid for Kubernetes and Cloud TPU too: small-20261127-031500-4f2a."""
    words = re.sub(r"[^a-z0-9]+", "-", study.lower())[:_MAX_STUDY].strip("-")
    return f"{words}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _check_workdir(given: Submitted) -> None:
    if given.launch.machine.kind != "local" and storage.is_local(given.workdir):
        raise UserError(
            f"--workdir: expected gs://BUCKET/FOLDER, which every host can reach, for "
            f"machine.machine.kind={given.launch.machine.kind!r}, got {quoted(str(given.workdir))}"
        )


def _check_evaluations(given: Submitted) -> None:
    if given.evaluates_apart and not given.study.evals:
        raise UserError("--evaluations apart: the study has no evaluations (config.evals)")


def _hours_and_price(
    given: Submitted, phases: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Returns a note about chip-hours and price, and what exceeds the budget."""
    launch, budget = given.launch, given.launch.budget
    price = given.study.cost.price_per_chip_hour
    if budget.max_price is not None and price is None:
        raise UserError(
            "machine.budget.max_price needs config.cost.price_per_chip_hour: set it, or limit "
            "machine.budget.max_chip_hours"
        )
    found = slice_of(launch.machine)
    if found is None:
        return ["chip-hours: not estimated for CPU devices"], []
    hours = sum(expected_chip_hours(given.study, launch, phases).values())
    chips = found.num_chips * launch.machine.num_slices
    cost = "" if price is None else f", price {hours * price:,.2f}"
    note = (
        f"chip-hours: {hours:,.1f} at an MFU of {given.study.cost.mfu:g}, {hours / chips:,.2f} "
        f"hours if all {chips:,} chips are in use{cost}"
    )
    limits = (
        ("max_chip_hours", budget.max_chip_hours, hours, "chip-hours"),
        ("max_price", budget.max_price, hours * (price or 0.0), "price"),
    )
    return [note], [
        f"expected {what} {value:,.1f} exceed machine.budget.{name} = {limit:,.1f}: the job saves "
        "and ends there"
        for name, limit, value, what in limits
        if limit is not None and value > limit
    ]


def _paths_of_this_machine(given: Submitted) -> list[str]:
    """Returns what evaluations read from local folders, which hosts of a pod may not have."""
    if given.launch.machine.kind == "local":
        return []
    return [
        f"config.evals.{name}.options.{option} = {quoted(value)} is on this machine: every host "
        "needs it under the same path"
        for name, evaluator in given.study.evals.items()
        for option, value in evaluator.options.items()
        if isinstance(value, str) and value.startswith("/") and storage.exists(value)
    ]


def _must_prepare(given: Submitted) -> bool:
    """Returns whether the job prepares the data. A pod never waits for that."""
    if not given.missing_data:
        return False
    if given.launch.machine.kind != "local":
        raise UserError(
            f"the data of study {given.study.name!r} is not prepared in {given.workdir}, missing: "
            f"{'; '.join(given.missing_data)}: run `{given.prepare_command}` first, where no "
            "accelerators wait for it"
        )
    return True


def _check_names(launch: LaunchConfig, job: str) -> None:
    if launch.machine.kind == "gke":
        length = gke.longest_pod_name(launch, job)
        assert length <= _MAX_POD_NAME, f"{job} is too long for a pod: {length}"
