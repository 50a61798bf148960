"""The commands `launch status` and `launch cost`."""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from codepretrain.cli.flags import PathOnce
from codepretrain.cli.interop import Add
from codepretrain.cli.output import print_json
from codepretrain.errors import UserError
from codepretrain.files.atomic import write_text
from codepretrain.launch import cost_terminal, status_page, status_terminal
from codepretrain.launch.cost import cost_of
from codepretrain.launch.events import read_events
from codepretrain.launch.job_folder import JobFolder, read_job
from codepretrain.launch.looking import Looker
from codepretrain.launch.patience import Patience
from codepretrain.launch.record_files import read_job_record
from codepretrain.launch.status import JobStatus

_PERIOD_S = 2.0
_PRINT_S = 30.0  # between two lines where the output is no terminal
_MIN_WIDTH = 80


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    status = add("status", _status, "show what a job and its hosts are doing")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--follow", action="store_true", help="refresh until the job is over")
    status.add_argument(
        "--page",
        action=PathOnce,
        metavar="FILE",
        help="write a page that refreshes itself; with --follow, again and again",
    )
    cost = add("cost", _cost, "show the chip-hours and the price of a job, and for what")
    cost.add_argument("--json", action="store_true", help="print JSON")


def _status(flags: argparse.Namespace, argv: list[str]) -> int:
    if flags.json and flags.follow:
        raise UserError("--json and --follow: choose one")
    folder, _ = read_job(flags.workdir, flags.job)
    looker = Looker(folder)
    if flags.follow:
        _follow(folder, looker, flags.page)
        return 0
    status = looker.status_after_a_beat()
    if flags.page is not None:
        _write_page(flags.page, status, looker, refreshes=not status.is_over)
    if flags.json:
        print_json(dataclasses.asdict(status))
    elif flags.page is None:
        console = _console()
        console.print(status_terminal.render(status, width=console.width))
    return 0


def _follow(folder: JobFolder, looker: Looker, page: Path | None) -> None:
    """Shows the status until the job is over. Ctrl-C ends this alone: the job goes on."""
    console = _console()
    is_live = console.is_terminal
    printed_s, before = -_PRINT_S, ""
    patience = Patience(lambda text: console.print(f"codepretrain: {text}"))
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            status = patience.read(looker.status)
            if status is None:
                time.sleep(_PERIOD_S)
                continue
            shown = status_terminal.render(status, width=console.width)
            if is_live:
                live.update(shown, refresh=True)
            elif time.monotonic() - printed_s >= _PRINT_S or status.state != before:
                console.print(shown)
                console.print()
                printed_s, before = time.monotonic(), status.state
            if page is not None:
                _write_page(page, status, looker, refreshes=not status.is_over)
            if status.is_over:
                return
            sys.stdout.flush()
            time.sleep(_PERIOD_S)


def _console() -> Console:
    """Returns a console that is at least 80 columns wide."""
    console = Console(highlight=False, markup=False)
    return console if console.width >= _MIN_WIDTH else Console(highlight=False, width=_MIN_WIDTH)


def _write_page(page: Path, status: JobStatus, looker: Looker, *, refreshes: bool) -> None:
    text = status_page.render(status, looker.events, written_s=time.time(), refreshes=refreshes)
    write_text(page, text)


def _cost(flags: argparse.Namespace, argv: list[str]) -> int:
    folder, _ = read_job(flags.workdir, flags.job)
    cost = cost_of(read_job_record(folder), read_events(folder.events))
    if flags.json:
        print_json(dataclasses.asdict(cost))
    else:
        console = _console()
        console.print(cost_terminal.render(cost, width=console.width))
    return 0
