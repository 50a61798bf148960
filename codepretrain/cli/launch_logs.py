"""The command `launch logs`."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.errors import UserError
from codepretrain.files.storage import is_local
from codepretrain.launch.events import Event, read_events
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.logs import OTHERS, Log, check_there, find_logs
from codepretrain.launch.record_files import read_job_record
from codepretrain.printable import printable

_PERIOD_S, _STORE_PERIOD_S = 1.0, 10.0
_MAX_HOSTS = 1_000_000


def add_commands(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    logs = add("logs", _logs, "print the output of the processes of a job")
    logs.add_argument("--host", type=whole_number(0, _MAX_HOSTS), help="only of this host")
    logs.add_argument(
        "--attempt", metavar="ID", help="as in status; hosts: of the supervisors; keeper"
    )
    logs.add_argument("--stage", help="its newest attempt (default: the job's newest attempt)")
    logs.add_argument(
        "--lines", type=whole_number(1), metavar="N", help="only the last N lines of each process"
    )
    logs.add_argument(
        "--follow", action="store_true", help="go on until the job is over, with later attempts"
    )


def _logs(flags: argparse.Namespace, argv: list[str]) -> int:
    if flags.attempt is not None and flags.stage is not None:
        raise UserError("--attempt and --stage: choose one")
    folder, _ = read_job(flags.workdir, flags.job)
    job, events = read_job_record(folder), read_events(folder.events)
    fold_events(events)  # raises if they are damaged

    def find(events: Sequence[Event]) -> tuple[str, list[Log]]:
        return find_logs(
            folder, job, events, host=flags.host, attempt=flags.attempt, stage=flags.stage
        )

    if flags.follow:
        _follow(folder, find, lines=flags.lines)
        return 0
    name, logs = find(events)
    check_there(folder, name, logs, events)
    for log in logs:
        lines = log.new_lines(is_last=True)
        _show(log, lines[-flags.lines :] if flags.lines else lines, has_label=len(logs) > 1)
    return 0


def _follow(
    folder: JobFolder,
    find: Callable[[Sequence[Event]], tuple[str, list[Log]]],
    *,
    lines: int | None,
) -> None:
    """Prints what is added until the job is over; then what is left."""
    period_s = _PERIOD_S if is_local(folder.path) else _STORE_PERIOD_S
    name: str = ""
    logs: list[Log] = []
    is_first = True
    while True:
        events = read_events(folder.events)
        state = fold_events(events)
        is_over = state.is_over and not state.is_resumed
        try:
            newest, found = find(events)
        except UserError:
            if is_over or any(event["event"] == "attempt" for event in events):
                raise
            newest, found = "", []  # the job has not started yet
        if newest != name:
            for log in logs:  # the rest of the attempt before
                _show(log, log.new_lines(is_last=True), has_label=len(logs) > 1)
            name, logs = newest, found
            if not is_first or name not in OTHERS:
                print(f"── {name}", file=sys.stderr, flush=True)
        for log in logs:
            added = log.new_lines(is_last=is_over)
            _show(log, added[-lines:] if lines and is_first else added, has_label=len(logs) > 1)
        sys.stdout.flush()
        is_first = is_first and not name
        if is_over:
            return
        time.sleep(period_s)


def _show(log: Log, lines: Sequence[str], *, has_label: bool) -> None:
    prefix = f"[{log.label}] " if has_label else ""
    for line in lines:
        print(f"{prefix}{printable(line)}")
