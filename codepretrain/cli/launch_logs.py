"""The command `launch logs`."""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence

from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.launch_follow import to_stderr
from codepretrain.errors import UserError
from codepretrain.files.storage import is_local
from codepretrain.launch.events import Event, EventReader
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.logs import OTHERS, Log, check_there, find_logs
from codepretrain.launch.patience import Patience
from codepretrain.launch.record_files import read_job_record
from codepretrain.printable import printable

_PERIOD_S, _STORE_PERIOD_S = 1.0, 5.0
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
    job, reader = read_job_record(folder), EventReader(folder.events)
    events = reader.read()
    fold_events(events)  # raises if they are damaged

    def find(events: Sequence[Event]) -> tuple[str, list[Log]]:
        return find_logs(
            folder, job, events, host=flags.host, attempt=flags.attempt, stage=flags.stage
        )

    if flags.follow:
        _follow(folder, reader, find, lines=flags.lines)
        return 0
    name, logs = find(events)
    check_there(folder, name, logs, events)
    for log in logs:
        lines = log.new_lines(is_last=True)
        _show(log, lines[-flags.lines :] if flags.lines else lines, has_label=len(logs) > 1)
    return 0


def _follow(
    folder: JobFolder,
    reader: EventReader,
    find: Callable[[Sequence[Event]], tuple[str, list[Log]]],
    *,
    lines: int | None,
) -> None:
    """Prints what is added until the job is over; then what is left."""
    period_s = _PERIOD_S if is_local(folder.path) else _STORE_PERIOD_S
    follower = _Follower(find, lines)
    for_events, for_logs = Patience(to_stderr), Patience(to_stderr)
    while True:
        events = for_events.read(reader.read)
        is_over = events is not None and follower.choose(events)
        is_shown = for_logs.read(functools.partial(follower.show, is_last=is_over))
        if is_over and is_shown:
            return
        time.sleep(period_s)


class _Follower:
    """The logs of the newest attempt. What could not be read is read at the next look."""

    def __init__(
        self, find: Callable[[Sequence[Event]], tuple[str, list[Log]]], lines: int | None
    ) -> None:
        self._find, self._lines = find, lines
        self._name = self._told = ""
        self._logs: list[Log] = []
        self._before: list[Log] = []  # of the attempt before, whose rest is not printed yet
        self._is_first = True

    def choose(self, events: Sequence[Event]) -> bool:
        """Goes on to the newest attempt, and returns whether the job is over."""
        is_over = not fold_events(events).goes_on
        newest, found = self._newest(events, is_over=is_over)
        if newest != self._name:
            self._before += self._logs
            self._name, self._logs = newest, found
        return is_over

    def show(self, *, is_last: bool) -> bool:
        """Prints what is new; returns True."""
        self._print(self._before, is_last=True)
        self._before = []
        if self._logs and self._name != self._told:
            self._told = self._name
            if not self._is_first or self._name not in OTHERS:
                print(f"── {self._name}", file=sys.stderr, flush=True)
        self._print(self._logs, is_last=is_last)
        sys.stdout.flush()
        self._is_first = self._is_first and not self._name
        return True

    def _newest(self, events: Sequence[Event], *, is_over: bool) -> tuple[str, list[Log]]:
        try:
            return self._find(events)
        except UserError:
            if is_over or any(event["event"] == "attempt" for event in events):
                raise
            return "", []  # the job has not started yet

    def _print(self, logs: Sequence[Log], *, is_last: bool) -> None:
        for log in logs:
            added = log.new_lines(is_last=is_last)
            shown = added[-self._lines :] if self._lines and self._is_first else added
            _show(log, shown, has_label=len(logs) > 1)


def _show(log: Log, lines: Sequence[str], *, has_label: bool) -> None:
    prefix = f"[{log.label}] " if has_label else ""
    for line in lines:
        print(f"{prefix}{printable(line)}")
