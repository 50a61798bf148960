"""The `codepretrain` command: its grammar and dispatch. `process.py` has the exit codes."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import absl.logging

from codepretrain.checkpoint.refusal import check_names
from codepretrain.cli import (
    compare,
    data,
    interop,
    judge,
    launch,
    plan,
    run,
    serve,
    show,
    synthetic,
)
from codepretrain.cli.environment import check_arithmetic_variables, check_jax_variables
from codepretrain.cli.flags import (
    Parser,
    WorkdirOnce,
    check_machine_flags,
    split_overrides,
)
from codepretrain.cli.process import prepare_memory, run_command
from codepretrain.config.load import load_study
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.data.filters import make_filters
from codepretrain.data.readers import make_reader
from codepretrain.errors import UserError, quoted
from codepretrain.evals.averaged_scores import check_averaged_scores
from codepretrain.evals.contrast_scores import check_contrast_scores
from codepretrain.evals.registry import check_evaluators
from codepretrain.files import storage
from codepretrain.files.explain import shown
from codepretrain.files.writable import check_writable
from codepretrain.launch.job_folder import check_given
from codepretrain.study.replicates import all_phases

_DESCRIPTION = "Pre-training studies of text and code: prepare data, train, evaluate, report."
_DATA = "show what prepared data holds"
_JOB = "the name that `launch submit` printed; left out: names the jobs in the workdir"
_LAUNCH = "run a study on machines, and keep it running"
_OVERRIDE = re.compile(r"--(config|machine)\.")
_WRITING = ("run", "prepare", "train", "evaluate", "judge", "report", "import")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    prepare_memory(argv)  # before `run_command` starts a thread
    return run_command(argv, lambda: _dispatch(argv))


def _dispatch(argv: list[str]) -> int:
    absl.logging.set_verbosity(absl.logging.FATAL)  # Orbax logs errors that it also raises
    flags, overrides = _parse(argv)
    flags.command_line = shlex.join(["codepretrain", *argv])
    flags.workdir = storage.parse(flags.workdir, name="--workdir")
    check_names(flags.workdir, name="--workdir")
    if storage.is_local(flags.workdir) and storage.is_file(flags.workdir):
        raise UserError(f"--workdir {shown(flags.workdir)}: expected a folder, found a file")
    if not hasattr(flags, "config"):  # about a job, which has its own study, or about checkpoints
        if hasattr(flags, "job"):
            check_given(flags.workdir, flags.job)
        return flags.function(flags, argv)
    of_study = [o for o in overrides if o.startswith("--config.")]
    config, *flags.others = _load_studies(flags.config, of_study)
    _check_phases(config, flags)
    check_jax_variables()
    check_arithmetic_variables()
    if flags.command in _WRITING:
        check_writable(flags.workdir, name="--workdir")
    return flags.function(config, flags, argv)


def _load_studies(files: str | list[str], overrides: list[str]) -> list[StudyConfig]:
    """Returns the studies of one or several files, each checked as far as that needs no data."""
    configs = []
    for file in [files] if isinstance(files, str) else files:
        try:
            config = load_study(file, overrides)
            check_evaluators(config)
            check_averaged_scores(config)
            check_contrast_scores(config)
            for source, chosen in config.data.sources.items():
                make_reader(source, chosen)
                make_filters(f"config.data.sources.{source}.filters", chosen.filters)
        except UserError as error:
            if isinstance(files, str) or len(files) == 1:
                raise
            raise UserError(f"{shown(file)}: {error}") from error
        configs.append(config)
    names = [config.name for config in configs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"--config: two studies are called {min(twice)}: expected different names")
    return configs


def _parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the flags and the overrides of a command line. Raises UserError for mistakes."""
    for argument in argv:
        try:
            argument.encode()
        except UnicodeEncodeError as error:  # it could not be recorded
            raise UserError(f"argument {quoted(argument)}: expected UTF-8 text") from error
    parser = _parser()
    command = _command(parser, argv)
    known = [name for action in command._actions for name in action.option_strings]
    names = [name for name in known if name.startswith("--")]
    # argparse takes a word with a space in it for a value, such as another file of `--config F F2`.
    # No argument of a process contains NUL.
    words = [a.replace(" ", "\0") if _OVERRIDE.match(a) else a for a in argv]
    try:
        flags, rest = parser.parse_known_args(words)
    except UserError:
        given = {a.partition("=")[0]: a for a in argv if re.match(r"--\w", a)}
        required = [a.option_strings for a in command._actions if a.required and a.option_strings]
        if not all(given.keys() & flag for flag in required):  # one may be misspelled
            unknown = [a for name, a in given.items() if name not in names]
            split_overrides([a for a in unknown if not _OVERRIDE.match(a)], names)
        raise
    rest = [word.replace("\0", " ") for word in rest]
    # `launch submit` takes overrides of the machine too; commands about a job take none.
    roots = [name for name in ("config", "machine") if hasattr(flags, name)]
    overrides = split_overrides(rest, names, roots=roots)
    flags.machine_overrides = [o for o in overrides if o.startswith("--machine.")]
    if hasattr(flags, "coordinator"):
        check_machine_flags(flags)
    return flags, overrides


def _check_phases(config: StudyConfig, flags: argparse.Namespace) -> None:
    given = getattr(flags, "phase", None) or []
    for name in [given] if isinstance(given, str) else given:
        known = all_phases(config)
        if name not in known:
            near = suggestion(name, known)
            raise UserError(f"--phase: there is no phase {quoted(name)}{near}")


def _command(
    parser: argparse.ArgumentParser, argv: list[str], *, group: str = ""
) -> argparse.ArgumentParser:
    """Returns the parser of the command that `argv` names; groups of commands are nested.

    Raises:
      UserError: there is no such command.
    """
    commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not commands or argv[:1] in ([], ["-h"], ["--help"]):
        return parser
    names = list(commands[0].choices)
    name, *rest = argv
    if name.startswith("-"):
        raise UserError(f"expected a command before {quoted(name)}: {', '.join(names)}")
    path = f"{group} {name}".lstrip()
    if name not in names:
        raise UserError(f"there is no command {quoted(path)}{suggestion(name, names)}")
    return _command(commands[0].choices[name], rest, group=path)


def _parser() -> Parser:
    """Returns the parser of all commands."""
    parser = Parser(prog="codepretrain", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    add = partial(_add, commands)
    run.add_commands(add)
    plan.add_plan_command(add)
    show.add_commands(add)
    compare.add_command(partial(_add_command, commands))
    group = commands.add_parser("data", help=_DATA, description=_DATA)
    of_data = group.add_subparsers(
        dest="data_command", metavar="command", required=True, parser_class=Parser
    )
    data.add_commands(partial(_add, of_data))
    interop.add_commands(add)
    serve.add_commands(add)
    synthetic.add_commands(add)
    judge.add_commands(add)
    group = commands.add_parser("launch", help=_LAUNCH, description=_LAUNCH)
    of_launch = group.add_subparsers(
        dest="launch_command", metavar="command", required=True, parser_class=Parser
    )
    launch.add_commands(partial(_add, of_launch), partial(_add_job_command, of_launch))
    return parser


def _add(
    commands: "argparse._SubParsersAction[Parser]",
    name: str,
    function: Callable[..., int],
    text: str,
    *,
    takes_several_studies: bool = False,
) -> argparse.ArgumentParser:
    """Adds a command with the flags that all have."""
    command = _add_command(commands, name, function, text)
    command.epilog = "Any field of the study is overridden by --config.path.to.field=value."
    several: dict[str, Any] = {"nargs": "+", "action": "extend"} if takes_several_studies else {}
    command.add_argument(
        "--config", required=True, metavar="FILE", help="experiment file", **several
    )
    return command


def _add_job_command(
    commands: "argparse._SubParsersAction[Parser]",
    name: str,
    function: Callable[..., int],
    text: str,
) -> argparse.ArgumentParser:
    """Adds a command about a job; its function is called with the flags and the arguments."""
    command = _add_command(commands, name, function, text)
    command.add_argument("job", metavar="JOB", nargs="?", help=_JOB)
    return command


def _add_command(
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
