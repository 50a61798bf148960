"""`launch keep`: keeps the machines of a job there; `launch submit` and `resume` start it.

    local     starts a supervisor per host, and again when it dies, until the job is over
    tpu_vm    requests and replaces queued resources (`launch/tpu_keeper.py`)
    gke       not needed: JobSet restarts pods

One keeper at a time holds keeper/.lease. Where it runs does not matter.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from codepretrain.cli.interop import Add
from codepretrain.errors import UserError
from codepretrain.files.lease import exclusive
from codepretrain.files.scratch import scratch_folder
from codepretrain.launch.events import EventWriter, utc
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.record_files import read_job_record, read_orders
from codepretrain.launch.start_machines import apply_jobset, host_arguments
from codepretrain.launch.submission import shipment_of
from codepretrain.launch.tpu_keeper import Keeper

_PERIOD_S = 1.0
_MIN_LIFE_S = 5.0  # a supervisor that lives for less is started again after a wait
_USER_ERROR = 2


def add_commands(add: Add) -> None:
    """Adds the command to the command line."""
    add("keep", _keep, "keep the machines of a job there, until it is over")


def start(job: Job) -> None:
    """Starts the machines of a job, by a keeper in a session of its own where one is needed."""
    if job.launch.machine.kind == "gke":
        print(apply_jobset(job, shipment_of(job)))
        return
    arguments = ["launch", "keep", job.name, "--workdir", job.workdir]
    command = [sys.executable, "-m", "codepretrain", *arguments]
    # Its notes are events of the job; what else it prints would have no reader.
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _keep(flags: argparse.Namespace, argv: list[str]) -> int:
    folder, _ = read_job(flags.workdir, flags.job)
    job = read_job_record(folder)
    kind = job.launch.machine.kind
    if kind == "gke":
        raise UserError(f"job {job.name} runs on GKE, where JobSet keeps its pods: no keeper")
    with exclusive(folder.path / "keeper"):
        if kind == "local":
            _keep_local(job, folder)
        else:
            _keep_tpus(job, folder)
    return 0


def _is_over(folder: JobFolder) -> bool:
    """Returns whether the conductor says that the job is over; not while it cannot be asked."""
    try:
        orders = read_orders(folder)
    except UserError:
        return False
    return orders is not None and orders.is_over


def _keep_tpus(job: Job, folder: JobFolder) -> None:
    with ExitStack() as stack:
        writer = stack.enter_context(EventWriter(folder.events, f"keeper-{int(time.time())}"))
        scripts = stack.enter_context(scratch_folder(Path(tempfile.gettempdir()), job.name))

        def write(event: str, **fields: str) -> None:
            writer.append([{"event": event, "time": utc(time.time()), **fields}])

        Keeper(
            job.launch,
            shipment_of(job),
            scripts=scripts,
            note=lambda text: write("keeper", message=text),
            on_state=lambda state, why: write("state", state=state, why=why),
        ).keep(lambda: _is_over(folder))


def _keep_local(job: Job, folder: JobFolder) -> None:
    """Keeps a supervisor for every host; at the end, waits for all of them."""
    running: dict[int, subprocess.Popen[bytes]] = {}
    started: dict[int, float] = {}
    while not _is_over(folder):
        for host in job.hosts:
            process = running.get(host)
            if process is not None and process.poll() == _USER_ERROR:
                continue  # starting it again would not help; its log says why
            is_early = time.monotonic() - started.get(host, -_MIN_LIFE_S) < _MIN_LIFE_S
            if (process is None or process.poll() is not None) and not is_early:
                running[host] = _start_host(job, host)
                started[host] = time.monotonic()
        if all(process.poll() == _USER_ERROR for process in running.values()):
            break
        time.sleep(_PERIOD_S)
    for process in running.values():
        process.wait()


def _start_host(job: Job, host: int) -> "subprocess.Popen[bytes]":
    """Starts a supervisor in a session of its own: it outlives its keeper, as on other machines."""
    command = [sys.executable, "-m", "codepretrain", *host_arguments(job, host)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
