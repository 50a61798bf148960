"""The command `launch host`, which every machine of a job runs."""

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
from codepretrain.launch.job_folder import job_folder, read_job
from codepretrain.launch.supervise import supervise

_MAX_HOSTS = 1_000_000
COMMAND = (sys.executable, "-m", "codepretrain")


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    host = add("host", _host, "supervise one host of a job: every machine of it runs this")
    host.add_argument(
        "--host",
        type=whole_number(0, _MAX_HOSTS),
        required=True,
        help="number of this host, over all slices",
    )


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
                note=to_stderr(f"host {flags.host}"),
            )
    except MissingFileError:
        read_job(flags.workdir, flags.job)  # raises, and names the jobs that there are
        raise
    return 0


def to_stderr(who: str) -> Callable[[str], None]:
    """Returns what prints a line; a full disk below the output is no reason to end."""

    def note(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(f"{utc(time.time())} {who}: {one_line(text)}", file=sys.stderr, flush=True)

    return note
