"""The processes of a job: `launch host` supervises one host, `launch keep` keeps the machines."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable

from codepretrain import interrupt
from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.errors import one_line
from codepretrain.files.storage import MissingFileError
from codepretrain.launch.events import utc
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder, job_folder, read_job
from codepretrain.launch.keeper import Machines, Note, keep
from codepretrain.launch.local import LocalHosts
from codepretrain.launch.supervise import supervise

_MAX_HOSTS = 1_000_000
COMMAND = (sys.executable, "-m", "codepretrain")


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    host = add("host", _host, "supervise one host of a job: what every machine of it runs")
    host.add_argument("job", metavar="JOB")
    host.add_argument(
        "--host",
        type=whole_number(0, _MAX_HOSTS),
        required=True,
        help="number of this host, over all slices",
    )
    keeper = add("keep", _keep, "keep the machines of a job: what `launch submit` starts")
    keeper.add_argument("job", metavar="JOB")


def _host(flags: argparse.Namespace, argv: list[str]) -> int:
    folder = job_folder(flags.workdir, flags.job)
    try:
        with interrupt.deferred():
            supervise(
                folder,
                host=flags.host,
                command=COMMAND,
                environment=dict(os.environ),
                signal_number=interrupt.signal_number,
                note=_note(f"host {flags.host}"),
            )
    except MissingFileError:
        read_job(flags.workdir, flags.job)  # raises, and names the jobs that there are
        raise
    return 0


def _keep(flags: argparse.Namespace, argv: list[str]) -> int:
    folder, _ = read_job(flags.workdir, flags.job)
    with interrupt.deferred():
        keep(
            folder,
            _machines,
            is_leaving=lambda: bool(interrupt.signal_number()),
            note=_note("keeper"),
        )
    return 0


def _machines(folder: JobFolder, job: Job, note: Note) -> Machines:
    return LocalHosts(folder, job, command=COMMAND, environment=dict(os.environ), note=note)


def _note(who: str) -> Callable[[str], None]:
    """Returns what prints a line; a full disk below the output is no reason to end."""

    def note(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(f"{utc(time.time())} {who}: {one_line(text)}", file=sys.stderr, flush=True)

    return note
