"""Follows a job: prints its events until it is over."""

import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

from codepretrain.errors import Interrupted, UserError
from codepretrain.files.storage import is_local
from codepretrain.launch import record_files
from codepretrain.launch.events import EventReader
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.patience import Patience
from codepretrain.printable import printable

_PERIOD_S, _STORE_PERIOD_S = 1.0, 5.0
_HIDDEN = ("event", "time", "writer", "number", "record", "boots", "seen", "chip_seconds")
_UNTOLD = ("term", "chip_hours")


def follow(folder: JobFolder, *, request: int | None = None) -> int:
    """Prints what happens until a job is over; returns the exit code.

    Ctrl-C ends this process alone: the job goes on.

    Args:
      request: the number of a request that the job is to take before it can be over.

    Raises:
      UserError: it ended other than well, or could not be read for long.
    """
    job = record_files.read_job_record(folder)
    name, known = job.name, set[tuple[str, int]]()
    period_s = _PERIOD_S if is_local(folder.path) else _STORE_PERIOD_S
    reader, patience = EventReader(folder.events), Patience(to_stderr)
    try:
        while True:
            events = patience.read(reader.read)
            if events is None:
                time.sleep(period_s)
                continue
            state = fold_events(events)
            for event in events:
                # By identity: a keeper's event may come between two that were printed already.
                key = event["writer"], event["number"]
                if key not in known and event["event"] not in _UNTOLD:
                    print(printable(told(event)), flush=True)
                known.add(key)
            if state.is_over and state.request >= (request or 0) and not state.is_resumed:
                break
            time.sleep(period_s)
    except Interrupted as error:
        where = ["--workdir", job.workdir]
        status = shlex.join(["codepretrain", "launch", "status", name, *where])
        stop = shlex.join(["codepretrain", "launch", "stop", name, *where])
        print(f"\njob {name} goes on. To see it: {status}\nTo stop it: {stop}", flush=True)
        return 128 + error.signal_number
    if state.state != "DONE":
        raise UserError(f"job {name} is {state.state}: {state.why}")
    return 0


def to_stderr(text: str) -> None:
    """Prints a line about the following, not about the job."""
    print(f"codepretrain: {text}", file=sys.stderr, flush=True)


def told(event: Mapping[str, Any]) -> str:
    """Returns an event as a line.

    >>> told({"event": "saved", "time": "2026-11-27T02:00:00.000+00:00", "step": 20})
    '02:00:00 saved step=20'
    """
    words = [f"{name}={value}" for name, value in event.items() if name not in _HIDDEN]
    return " ".join([event["time"][11:19], event["event"], *words])
