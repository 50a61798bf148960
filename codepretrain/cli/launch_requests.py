"""The commands `launch stop` and `launch resume`."""

import argparse
import os
import shlex
import sys
import time

from codepretrain.cli.interop import Add
from codepretrain.cli.launch_follow import follow
from codepretrain.cli.launch_host import COMMAND
from codepretrain.errors import UserError
from codepretrain.files.log_file import last_line
from codepretrain.launch import record_files, requests
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.keeper import keeper_command, log_file
from codepretrain.launch.local import start_detached

_KEPT = ("local", "tpu_vm")
_START_S = 60.0  # until a keeper holds its lease
_PERIOD_S = 0.5


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    stop = add("stop", _stop, "have a job save and end; `launch resume` goes on with it")
    stop.add_argument("job", metavar="JOB")
    resume = add("resume", _resume, "go on with a job that is over, or whose keeper has ended")
    resume.add_argument("job", metavar="JOB")
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
    print(f"{asked.message}; see: {status}")
    return 0


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
    start_keeper(folder)
    return 0 if flags.detach else follow(folder, request=asked.number)


def start_keeper(folder: JobFolder) -> None:
    """Starts the keeper of a job, detached from this process, where its machine needs one.

    Raises:
      UserError: it has ended at once; says why.
    """
    job: Job = record_files.read_job_record(folder)
    if job.launch.machine.kind not in _KEPT:
        return
    process = start_detached(keeper_command(COMMAND, job), folder, environment=os.environ)
    deadline = time.monotonic() + _START_S
    while not requests.has_keeper(folder):
        if process.poll() is not None:
            log = log_file(folder, "keeper", 0)
            if process.returncode == 0 or requests.has_keeper(folder):
                return
            raise UserError(f"the keeper of {job.name} has ended: {last_line(log)}; see {log}")
        if time.monotonic() > deadline:
            raise UserError(f"the keeper of {job.name} has not begun within {_START_S:.0f} s")
        time.sleep(_PERIOD_S)
    print(f"keeper: process {process.pid} on this machine", file=sys.stderr)


def _where(flags: argparse.Namespace) -> list[str]:
    return ["--workdir", str(flags.workdir)]
