"""The `codepretrain` command: flags and dispatch. `process.py` has the exit codes."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import absl.logging

from codepretrain.cli import interop
from codepretrain.cli.plan import add_plan_command
from codepretrain.cli.process import (
    CHILD,
    add_machine_flags,
    relevant_environment,
    run_command,
    start_machine,
)
from codepretrain.config.load import load_study
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.data.readers import make_reader
from codepretrain.errors import UserError
from codepretrain.evals.options import check_evaluators


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return run_command(argv, lambda: _dispatch(argv))


def _dispatch(argv: list[str]) -> int:
    absl.logging.set_verbosity(absl.logging.FATAL)  # Orbax logs what it also raises, at length
    parser = _parser()
    flags, rest = parser.parse_known_args(argv)
    overrides = [arg for arg in rest if arg.startswith("--config.")]
    for arg in rest:
        if arg not in overrides:
            known = ["--config", "--workdir", *_options_of(flags)]
            raise UserError(f"unknown argument {arg!r}{suggestion(arg.split('=')[0], known)}")
    flags.command_line = shlex.join(["codepretrain", *argv])
    config = load_study(flags.config, overrides)
    check_evaluators(config)
    for source, chosen in config.data.sources.items():
        make_reader(source, chosen)
    return flags.function(config, flags, argv)


def _options_of(flags: argparse.Namespace) -> list[str]:
    hidden = ("function", "command")
    return ["--" + name.replace("_", "-") for name in vars(flags) if name not in hidden]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message} (codepretrain --help shows what there is)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="codepretrain", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    def add(name: str, function: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            epilog="Any field of the study is overridden by --config.path.to.field=value.",
        )
        command.add_argument("--config", required=True, metavar="FILE", help="experiment file")
        command.add_argument(
            "--workdir", type=Path, default=Path("workdir"), help="where everything is kept"
        )
        command.set_defaults(function=function)
        return command

    run = add("run", _run, "do what is missing of prepare, train, evaluate and report")
    _add_profile(run)
    add_machine_flags(run)
    prepare = add("prepare", _prepare, "read the sources, train the tokenizer, pack the rows")
    prepare.add_argument("--num-workers", type=int, default=None, help="processes (default: cores)")
    add_plan_command(add)
    train = add("train", _train, "train the phases that are not trained yet")
    train.add_argument("--phase", action="append", help="only this phase and what it needs")
    _add_profile(train)
    add_machine_flags(train)
    evaluate = add("evaluate", _evaluate, "run the evaluations that are missing on checkpoints")
    evaluate.add_argument("--phase", action="append", help="only this phase")
    evaluate.add_argument("--step", type=int, help="a checkpoint's step (default: the phase's end)")
    add_machine_flags(evaluate)
    add("report", _report, "write the page and print the table of what has been measured")
    show_batch = add("show-batch", _show_batch, "list the rows and documents of one batch")
    show_batch.add_argument("--phase", required=True)
    show_batch.add_argument("--step", type=int, required=True, help="0 is the phase's first batch")
    show_batch.add_argument("--json", action="store_true", help="print JSON")
    interop.add_commands(add)
    return parser


def _add_profile(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--profile",
        type=int,
        default=0,
        metavar="STEPS",
        help="profile this many steps of each phase, for TensorBoard and Perfetto",
    )


def _run(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    start_machine(flags)
    from codepretrain.study.run import run_study

    def prepare() -> None:
        # Another process: this one goes on to train, and must not import TensorFlow.
        overrides = [arg for arg in argv if arg.startswith("--config.")]
        command = ["prepare", "--config", flags.config, "--workdir", str(flags.workdir)]
        _call_self([*command, *overrides])

    run_study(
        config,
        flags.workdir,
        prepare=prepare,
        command_line=flags.command_line,
        environment=relevant_environment(),
        profile_steps=_profile_steps(flags),
    )
    return 0


def _call_self(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "codepretrain", *arguments]
    with subprocess.Popen(command, env={**os.environ, CHILD: "1"}) as process:
        try:
            code = process.wait()
        except BaseException:  # a signal for us: the other process stops as cleanly as we do
            process.terminate()
            raise
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if code:  # it has told why
        raise SystemExit(code)


def _prepare(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.data.prepare import prepare
    from codepretrain.rows.data_dir import data_dir

    num_workers = os.cpu_count() or 1 if flags.num_workers is None else flags.num_workers
    if num_workers < 1:
        raise UserError(f"--num-workers: expected 1 or more, got {num_workers}")
    prepare(config, data_dir(flags.workdir, config), num_workers=num_workers)
    return 0


def _train(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    start_machine(flags)
    from codepretrain.study.run import train_phases

    train_phases(
        config,
        flags.workdir,
        only=flags.phase,
        command_line=flags.command_line,
        environment=relevant_environment(),
        profile_steps=_profile_steps(flags),
    )
    return 0


def _evaluate(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    start_machine(flags)
    from codepretrain.study.run import evaluate_phases

    evaluate_phases(
        config,
        flags.workdir,
        only=flags.phase,
        step=flags.step,
        command_line=flags.command_line,
        environment=relevant_environment(),
    )
    return 0


def _profile_steps(flags: argparse.Namespace) -> int:
    if flags.profile < 0:
        raise UserError(f"--profile: expected 0 or more steps, got {flags.profile}")
    return flags.profile


def _report(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.study.run import report_study

    report_study(config, flags.workdir, command_line=flags.command_line)
    return 0


def _show_batch(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.study.run import show_batch

    text, values = show_batch(config, flags.workdir, phase_name=flags.phase, step=flags.step)
    print(json.dumps(values, indent=1, ensure_ascii=False) if flags.json else text)
    return 0
