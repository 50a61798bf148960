"""The commands `launch …`: a study on machines that are described as data."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

from codepretrain.cli import launch_host, launch_requests
from codepretrain.cli.flags import Parser, WorkdirOnce
from codepretrain.errors import UserError, quoted

_TEXT = "start a study on machines and keep it going"
# The command's name within the parsed flags.
NAME = "launch"


def add_group(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the group of commands to the command line."""
    group = commands.add_parser(NAME, help=_TEXT, description=_TEXT)
    of_launch = group.add_subparsers(
        dest="launch_command", metavar="command", required=True, parser_class=Parser
    )
    add = partial(_add, of_launch)
    launch_host.add_commands(add)
    launch_requests.add_commands(add)


def dispatch(flags: argparse.Namespace, overrides: Sequence[str], argv: list[str]) -> int:
    """Runs a command that needs no study."""
    if overrides:
        raise UserError(f"unknown argument {quoted(overrides[0])}: the job has its study")
    return flags.function(flags, argv)


def _add(
    commands: "argparse._SubParsersAction[Parser]",
    name: str,
    function: Callable[..., int],
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument(
        "--workdir",
        action=WorkdirOnce,
        default="workdir",
        help="local folder or gs:// address that holds everything (default: workdir)",
    )
    command.set_defaults(function=function)
    return command
