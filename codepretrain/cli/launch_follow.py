"""Follows a job until it is over: its status in a terminal, else its events as lines."""

import contextlib
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from codepretrain.errors import Interrupted, UserError
from codepretrain.files.atomic import write_text
from codepretrain.files.storage import is_local
from codepretrain.launch import status_page, status_terminal
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.looking import Looker
from codepretrain.launch.patience import Patience
from codepretrain.launch.states import JobState
from codepretrain.launch.status import JobStatus
from codepretrain.printable import printable

_PERIOD_S, _STORE_PERIOD_S = 1.0, 5.0
_MIN_WIDTH = 80
_HIDDEN = (
    *("event", "time", "writer", "number", "record", "boots", "before", "seen", "chip_seconds"),
    "facts",
)
_UNTOLD = ("term", "chip_hours")
_VERBS = ("status", "stop")


def follow(folder: JobFolder, *, request: int | None = None) -> int:
    """Shows what happens until a job is over; returns the exit code.

    Ctrl-C ends this process alone: the job goes on.

    Args:
      request: the number of a request that the job is to take before it can be over.

    Raises:
      UserError: it ended other than well, or could not be read for long.
    """
    looker = Looker(folder)
    name = looker.job.name
    try:
        state = watch(folder, looker, request=request)
    except Interrupted as error:
        print(f"\njob {name} goes on. {how_to_see(looker.job)}", flush=True)
        return 128 + error.signal_number
    if state.state != "DONE":
        raise UserError(f"job {name} is {state.state}: {state.why}")
    return 0


def how_to_see(job: Job) -> str:
    """Returns the commands that show and stop a job, on two lines."""
    where = [job.name, "--workdir", job.workdir]
    status, stop = (shlex.join(["codepretrain", "launch", verb, *where]) for verb in _VERBS)
    return f"To see it: {status}\nTo stop it: {stop}"


def to_stderr(text: str) -> None:
    """Prints a line about the following, not about the job."""
    print(f"codepretrain: {text}", file=sys.stderr, flush=True)


def watch(
    folder: JobFolder, looker: Looker, *, request: int | None = None, page: Path | None = None
) -> JobState:
    """Shows a job until it is over; returns its last state.

    Args:
      request: the number of a request that the job is to take before it can be over.
      page: a file of the status, written at every look.

    Raises:
      UserError: the job is damaged, or could not be read for long.
    """
    screen, printed, patience = console(), set[tuple[str, int]](), Patience(to_stderr)
    period_s = _PERIOD_S if is_local(folder.path) else _STORE_PERIOD_S
    live = Live(console=screen, auto_refresh=False) if screen.is_terminal else None
    with live or contextlib.nullcontext():
        while True:
            status = patience.read(looker.status)
            if status is None:
                time.sleep(period_s)
                continue
            if live is not None:
                live.update(status_terminal.render(status, width=screen.width), refresh=True)
            else:
                _print_new(looker, printed)
            if page is not None:
                write_page(page, status, looker)
            if status.is_over and (state := looker.state()).request >= (request or 0):
                return state
            time.sleep(period_s)


def console() -> Console:
    """Returns a console that is at least 80 columns wide."""
    found = Console(highlight=False, markup=False)
    if found.width < _MIN_WIDTH:
        found.width = _MIN_WIDTH
    return found


def write_page(page: Path, status: JobStatus, looker: Looker) -> None:
    """Writes the status as a page, which refreshes itself until the job is over."""
    write_text(
        page,
        status_page.render(
            status, looker.events, written_s=time.time(), refreshes=not status.is_over
        ),
    )


def _print_new(looker: Looker, printed: set[tuple[str, int]]) -> None:
    for event in looker.events:
        # By identity: a keeper's event may come between two that were printed already.
        key = event["writer"], event["number"]
        if key not in printed and event["event"] not in _UNTOLD:
            print(printable(told(event)))
        printed.add(key)
    sys.stdout.flush()


def told(event: Mapping[str, Any]) -> str:
    """Returns an event as a line, without what is unknown.

    >>> told({"event": "saved", "time": "2026-11-27T02:00:00.000+00:00", "step": 20})
    '02:00:00 saved step=20'
    >>> time = "2026-11-27T02:00:00.000+00:00"
    >>> told({"event": "end", "time": time, "host": None, "facts": {"loss": 2.46433, "mfu": None}})
    '02:00:00 end loss=2.464'
    """
    named = {**event, **(event.get("facts") or {})}
    words = [
        f"{name}={round(value, 3) if isinstance(value, float) else value}"
        for name, value in named.items()
        if name not in _HIDDEN and value is not None and value != ""
    ]
    return " ".join([event["time"][11:19], event["event"], *words])
