"""`launch keep`: keeps the machines of a job there; `launch submit` and `resume` start it.

    local     starts a supervisor per host, and again when it dies (`launch/local.py`)
    tpu_vm    requests and replaces queued resources (`launch/tpu_keeper.py`)
    gke       not needed: JobSet restarts pods

One keeper at a time holds keeper/.lease. Where it runs does not matter.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from codepretrain import interrupt
from codepretrain.cli.interop import Add
from codepretrain.cli.launch_host import COMMAND, to_stderr
from codepretrain.errors import UserError
from codepretrain.files.log_file import last_line
from codepretrain.files.scratch import scratch_folder
from codepretrain.launch import requests
from codepretrain.launch.bundle_code import environment_with_code, unpack_code
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.keeper import PERIOD_S, Machines, Record, keep, keeper_command, log_file
from codepretrain.launch.local import LocalHosts, start_detached
from codepretrain.launch.record_files import read_job_record
from codepretrain.launch.start_machines import apply_jobset
from codepretrain.launch.submission import shipment_of
from codepretrain.launch.tpu_keeper import POLL_S, Keeper

_BEGIN_S = 60.0  # until a keeper holds its lease
_LOOK_S = 0.5


def add_commands(add: Add) -> None:
    """Adds the command to the command line."""
    add("keep", _keep, "keep the machines of a job there, until it is over")


def start(job: Job, folder: JobFolder) -> None:
    """Starts the machines of a job, by a keeper in a session of its own where one is needed.

    Raises:
      UserError: they cannot be started; says why.
    """
    if job.launch.machine.kind == "gke":
        print(apply_jobset(job, shipment_of(job)))
        return
    process = start_detached(keeper_command(COMMAND, job), folder, environment=os.environ)
    deadline = time.monotonic() + _BEGIN_S
    while not requests.has_keeper(folder):
        if process.poll() is not None:
            if process.returncode == 0 or requests.has_keeper(folder):
                return  # the job is over, or another keeper was first
            log = log_file(folder, "keeper", 0)
            raise UserError(f"the keeper of {job.name} has ended: {last_line(log)}; see {log}")
        if time.monotonic() > deadline:
            raise UserError(f"the keeper of {job.name} has not begun within {_BEGIN_S:.0f} s")
        time.sleep(_LOOK_S)
    print(f"keeper: process {process.pid} on this machine", file=sys.stderr)


def _keep(flags: argparse.Namespace, argv: list[str]) -> int:
    folder, _ = read_job(flags.workdir, flags.job)
    job = read_job_record(folder)
    kind = job.launch.machine.kind
    if kind == "gke":
        raise UserError(f"job {job.name} runs on GKE, where JobSet keeps its pods: no keeper")
    environment = dict(os.environ)
    if kind == "local" and job.bundle:
        environment = environment_with_code(environment, unpack_code(folder, job))
    with (
        interrupt.deferred(),
        scratch_folder(Path(tempfile.gettempdir()), f"codepretrain-keeper-{job.name}") as scratch,
    ):

        def make(record: Record) -> Machines:
            def note(text: str) -> None:
                record("keeper", message=text)

            if kind == "local":
                return LocalHosts(folder, job, command=COMMAND, environment=environment, note=note)
            return Keeper(
                job.launch,
                shipment_of(job),
                scripts=scratch,
                note=note,
                on_state=lambda state, why: record("state", state=state, why=why),
            )

        keep(
            folder,
            make,
            is_leaving=lambda: bool(interrupt.signal_number()),
            note=to_stderr("keeper"),
            period_s=PERIOD_S if kind == "local" else POLL_S,
        )
    return 0
