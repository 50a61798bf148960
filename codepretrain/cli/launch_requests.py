"""The commands `launch stop` and `launch resume`."""

import argparse
import contextlib
import shlex
import sys
import time

from codepretrain.cli import launch_keep
from codepretrain.cli.interop import Add
from codepretrain.cli.launch_follow import follow
from codepretrain.errors import UserError
from codepretrain.files.hold_errors import InUseError, LeaseLostError
from codepretrain.launch import requests
from codepretrain.launch.conductor import conduct
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.record_files import read_job_record
from codepretrain.launch.start_machines import renew_jobset, withdraw_jobset


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    add("stop", _stop, "have a job save and end; `launch resume` goes on with it")
    resume = add("resume", _resume, "go on with a job that is over, or whose keeper has ended")
    resume.add_argument("--max-chip-hours", type=float, metavar="H", help="a new cap")
    resume.add_argument("--max-price", type=float, metavar="P", help="a new cap")
    resume.add_argument(
        "--retrain-lost",
        action="store_true",
        help="retrain the steps of lost checkpoints; old records are kept",
    )
    resume.add_argument("--detach", action="store_true", help="do not follow the job")


def _stop(flags: argparse.Namespace, argv: list[str]) -> int:
    folder, _ = read_job(flags.workdir, flags.job)
    asked = requests.stop(folder)
    status = shlex.join(["codepretrain", "launch", "status", flags.job, *_where(flags)])
    print(f"{asked.message}; see: {status}", flush=True)
    job = read_job_record(folder)
    if job.launch.machine.kind == "gke":
        _withdraw(job)
    _conclude(folder)
    return 0


def _withdraw(job: Job) -> None:
    """Takes a JobSet without pods away; whatever kubectl says, running pods take the request."""
    try:
        if withdraw_jobset(job):
            print(f"its JobSet {job.name} has no pods: deleted", flush=True)
    except UserError as error:
        print(f"codepretrain: {error}; pods that run save and end all the same", file=sys.stderr)


def _conclude(folder: JobFolder) -> None:
    """Decides here until the job is over if no host does: none has started, or all are gone."""

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    with contextlib.suppress(InUseError, LeaseLostError):
        conduct(folder, wait=wait)
        print(f"no host was deciding: the job is {requests.state_of(folder).state}")


def _resume(flags: argparse.Namespace, argv: list[str]) -> int:
    for name in ("max_chip_hours", "max_price"):
        value = getattr(flags, name)
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"--{name.replace('_', '-')}: expected a number above 0, got {value:g}")
    folder, _ = read_job(flags.workdir, flags.job)
    asked = requests.resume(
        folder,
        max_chip_hours=flags.max_chip_hours,
        max_price=flags.max_price,
        retrain_lost=flags.retrain_lost,
    )
    print(asked.message)
    job = read_job_record(folder)
    if job.launch.machine.kind == "gke":
        renew_jobset(job, is_new_start=asked.number is not None)
    launch_keep.start(job, folder)
    return 0 if flags.detach else follow(folder, request=asked.number)


def _where(flags: argparse.Namespace) -> list[str]:
    return ["--workdir", str(flags.workdir)]
