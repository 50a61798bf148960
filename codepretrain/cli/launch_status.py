"""The commands `launch status` and `launch cost`."""

import argparse
import dataclasses

from codepretrain.cli.flags import PathOnce
from codepretrain.cli.interop import Add
from codepretrain.cli.launch_follow import console, watch, write_page
from codepretrain.cli.output import print_json
from codepretrain.errors import UserError
from codepretrain.launch import cost_terminal, status_terminal
from codepretrain.launch.cost import cost_of
from codepretrain.launch.events import read_events
from codepretrain.launch.job_folder import read_job
from codepretrain.launch.looking import Looker
from codepretrain.launch.record_files import read_job_record


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    status = add("status", _status, "show what a job and its hosts are doing")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument(
        "--follow",
        action="store_true",
        help="go on until the job is over: the status in a terminal, else events",
    )
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
        watch(folder, looker, page=flags.page)
        return 0
    status = looker.status_after_a_beat()
    if flags.page is not None:
        write_page(flags.page, status, looker)
    if flags.json:
        print_json(dataclasses.asdict(status))
    elif flags.page is None:
        screen = console()
        screen.print(status_terminal.render(status, width=screen.width))
    return 0


def _cost(flags: argparse.Namespace, argv: list[str]) -> int:
    folder, _ = read_job(flags.workdir, flags.job)
    cost = cost_of(read_job_record(folder), read_events(folder.events))
    if flags.json:
        print_json(dataclasses.asdict(cost))
    else:
        screen = console()
        screen.print(cost_terminal.render(cost, width=screen.width))
    return 0
