"""The `codepretrain` command: flags, machines, dispatch.

Exit codes: 0 done; 2 a mistake in what was asked for, told in one line; 128 + signal number when
stopped by one, with everything saved. The only module that reads flags and the environment.
"""

import argparse
import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import absl.logging

from codepretrain.cli import interop
from codepretrain.cli.plan import add_plan_command
from codepretrain.config.load import load_study
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.data.readers import make_reader
from codepretrain.errors import UserError
from codepretrain.evals.options import check_evaluators
from codepretrain.hardware.host_memory import has_accelerator, keep_freed_memory
from codepretrain.hardware.numerics import check_environment
from codepretrain.interrupt import Interrupted

# What a file system says when the place, not the program, is wrong.
_FULL_OR_FORBIDDEN = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    resume = shlex.join(["codepretrain", *argv])

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, f"stopped; what was finished is kept. Go on with: {resume}")

    try:
        with _handling(signal.SIGTERM, terminate):
            return _dispatch(argv)
    except UserError as error:
        return _fail(str(error), 2)
    except Interrupted as stop:
        return _fail(str(stop), 128 + stop.signal_number)
    except KeyboardInterrupt:
        return _fail(
            f"stopped; what was finished is kept. Go on with: {resume}", 128 + signal.SIGINT
        )
    except BrokenPipeError:  # the reader of our output (head, less) is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _FULL_OR_FORBIDDEN:
            raise
        return _fail(f"{error.filename or 'a file'}: {error.strerror}", 2)


@contextmanager
def _handling(number: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handles a signal while within; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _fail(message: str, code: int) -> int:
    print(f"codepretrain: {message}", file=sys.stderr)
    return code


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
    check_environment(os.environ)
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
    _add_retrain_lost(run)
    _add_machine(run)
    prepare = add("prepare", _prepare, "read the sources, train the tokenizer, pack the rows")
    prepare.add_argument("--num-workers", type=int, default=None, help="processes (default: cores)")
    add_plan_command(add)
    train = add("train", _train, "train the phases that are not trained yet")
    train.add_argument("--phase", action="append", help="only this phase and what it needs")
    _add_retrain_lost(train)
    _add_machine(train)
    evaluate = add("evaluate", _evaluate, "run the evaluations that are missing on checkpoints")
    evaluate.add_argument("--phase", action="append", help="only this phase")
    evaluate.add_argument("--step", type=int, help="a checkpoint's step (default: the phase's end)")
    _add_machine(evaluate)
    add("report", _report, "write the page and print the table of what has been measured")
    show_batch = add("show-batch", _show_batch, "list the rows and documents of one batch")
    show_batch.add_argument("--phase", required=True)
    show_batch.add_argument("--step", type=int, required=True, help="0 is the phase's first batch")
    show_batch.add_argument("--json", action="store_true", help="print JSON")
    interop.add_commands(add)
    return parser


def _add_retrain_lost(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--retrain-lost",
        action="store_true",
        help="where checkpoints were lost, train again what they held; old records are renamed",
    )


def _add_machine(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("machine")
    group.add_argument("--distributed", action="store_true", help="join the pod's other hosts")
    group.add_argument("--coordinator", help="host:port of process 0, where it is not discovered")
    group.add_argument("--num-processes", type=int)
    group.add_argument("--process-id", type=int)
    group.add_argument("--cpu-devices", type=int, help="use this many CPU devices as a small pod")


def _start_machine(flags: argparse.Namespace) -> None:
    if flags.cpu_devices is not None or not has_accelerator():
        keep_freed_memory()
    import jax

    if flags.cpu_devices is not None:
        if flags.cpu_devices < 1:
            raise UserError(f"--cpu-devices: expected 1 or more, got {flags.cpu_devices}")
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", flags.cpu_devices)
    if flags.distributed or flags.coordinator:
        jax.distributed.initialize(flags.coordinator, flags.num_processes, flags.process_id)


def _run(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    _start_machine(flags)
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
        retrain_lost=flags.retrain_lost,
    )
    return 0


def _call_self(arguments: list[str]) -> None:
    with subprocess.Popen([sys.executable, "-m", "codepretrain", *arguments]) as process:
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
    _start_machine(flags)
    from codepretrain.study.run import train_phases

    train_phases(
        config,
        flags.workdir,
        only=flags.phase,
        command_line=flags.command_line,
        retrain_lost=flags.retrain_lost,
    )
    return 0


def _evaluate(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    _start_machine(flags)
    from codepretrain.study.run import evaluate_phases

    evaluate_phases(config, flags.workdir, only=flags.phase, step=flags.step)
    return 0


def _report(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.study.report import report_study

    report_study(config, flags.workdir, command_line=flags.command_line)
    return 0


def _show_batch(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.study.show_batch import show_batch

    text, values = show_batch(config, flags.workdir, phase_name=flags.phase, step=flags.step)
    print(json.dumps(values, indent=1, ensure_ascii=False) if flags.json else text)
    return 0
