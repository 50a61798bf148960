"""The commands `run`, `prepare`, `train` and `evaluate`, which do the work of a study."""

import argparse
import importlib.util
import os
import shlex
import signal
import subprocess
import sys

from codepretrain.cli import task_data, worker
from codepretrain.cli.flags import MAX_WORKERS, is_given, whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.parent import end_with_parent
from codepretrain.cli.prepare_command import prepare_command
from codepretrain.cli.process import (
    CHILD,
    add_machine_flags,
    relevant_environment,
    start_machine,
)
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import Interrupted, UserError
from codepretrain.progress_pipe import PROGRESS


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    run = add("run", _run, "prepare, train, evaluate and report; skips what is done")
    prepare = add("prepare", _prepare, "read the sources, train the tokenizer, pack the rows")
    prepare.add_argument(
        "--num-workers", type=whole_number(1, MAX_WORKERS), help="processes (default: cores)"
    )
    prepare.add_argument(
        "--beam",
        metavar="OPTIONS",
        help="run the parts with Apache Beam and these pipeline options, instead of in processes; "
        'example: "--runner=DataflowRunner --project=p --region=r --temp_location=gs://b/tmp"',
    )
    prepare.add_argument(
        "--reread-changed",
        action="store_true",
        help="read raw files that changed, and remake what depends on them",
    )
    train = add("train", _train, "train the phases that are not trained yet")
    train.add_argument("--phase", action="append", help="only this phase and its ancestors")
    train.add_argument(
        "--no-evaluations",
        action="store_true",
        help="run no evaluations: another job does, by evaluate --watch, or later",
    )
    evaluate = add("evaluate", _evaluate, "run the evaluations that are missing on checkpoints")
    _add_evaluation_flags(evaluate)
    for command in (run, train):
        command.add_argument(
            "--retrain-lost",
            action="store_true",
            help="retrain the steps of lost checkpoints; old records are kept",
        )
        command.add_argument(
            "--profile",
            type=whole_number(0),
            default=0,
            metavar="STEPS",
            help="profile this many steps of each phase, for TensorBoard and Perfetto",
        )
    for command in (run, train, evaluate):
        _add_attempt_flag(command)
        add_machine_flags(command)


def _add_evaluation_flags(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("--phase", action="append", help="only this phase")
    evaluate.add_argument(
        "--step", type=whole_number(0), help="a checkpoint's step (default: the phase's end)"
    )
    task_data.add_flags(evaluate)
    evaluate.add_argument(
        "--watch",
        nargs="?",
        const="permanent",
        choices=("permanent", "all"),
        help="evaluate the checkpoints of phases that another job trains, until they are trained: "
        "the permanent ones, or all",
    )
    evaluate.add_argument(
        "--poll-s",
        type=whole_number(1, 86_400),
        default=30,
        help="with --watch: seconds between two looks for new checkpoints (default: 30)",
    )


def _add_attempt_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--attempt",
        metavar="ID",
        default="",
        help="processes that are given another one do not join this run",
    )


def _run(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    start_machine(flags)
    from codepretrain.study.run import run_study
    from codepretrain.study.workspace import Workspace

    command = prepare_command(flags, argv)
    run_study(
        Workspace(config, flags.workdir),
        # In a subprocess, so that its libraries and memory do not stay in the one that trains.
        prepare=lambda: _call_self(command),
        prepare_command=shlex.join(["codepretrain", *command]),
        check_raw_files=lambda: _check_raw_files(config, flags),
        command_line=flags.command_line,
        environment=relevant_environment(),
        retrain_lost=flags.retrain_lost,
        profile_steps=flags.profile,
        attempt=flags.attempt,
    )
    return 0


def _check_raw_files(config: StudyConfig, flags: argparse.Namespace) -> None:
    if importlib.util.find_spec("tokenizers") is None:
        return  # installed without the extra `data`: the data was prepared on another machine
    from codepretrain.data.reading.raw_files import check_all_raw_files
    from codepretrain.rows.data_dir import data_dir

    check_all_raw_files(
        config,
        data_dir(flags.workdir, config),
        note=lambda text: print(f"codepretrain: {text}", file=sys.stderr),
    )


def _call_self(arguments: list[str]) -> None:
    """Runs `codepretrain` in a subprocess.

    Raises:
      Interrupted: a signal stopped it.
      SystemExit: it failed, and has printed why.
      UserError: it was killed.
    """
    command = [sys.executable, "-m", "codepretrain", *arguments]
    with subprocess.Popen(command, env={**os.environ, CHILD: str(os.getpid())}) as process:
        try:
            code = process.wait()
        except BaseException:  # we got a signal: the subprocess stops as cleanly as we do
            process.terminate()
            raise
    if code < 0:
        raise UserError(
            f"`codepretrain {arguments[0]}` was killed by {signal.Signals(-code).name}; if the "
            "machine is out of memory, free some; then rerun the same command to resume"
        )
    if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise Interrupted(code - 128, "stopped; progress is saved")
    if code:
        raise SystemExit(code)


def _prepare(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    end_with_parent(CHILD, signal.SIGTERM)
    PROGRESS.set_activity("prepare")
    from codepretrain.data.prepare import prepare
    from codepretrain.rows.data_dir import data_dir

    if flags.beam is not None and flags.num_workers is not None:
        raise UserError("--num-workers: expected no --beam with it, which has its own options")
    num_workers = flags.num_workers or os.cpu_count() or 1
    prepare(
        config,
        data_dir(flags.workdir, config),
        num_workers=num_workers,
        beam=flags.beam,
        rereads_changed=flags.reread_changed,
    )
    return 0


def _train(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    start_machine(flags)
    from codepretrain.study.run import train_phases
    from codepretrain.study.workspace import Workspace

    train_phases(
        Workspace(config, flags.workdir),
        only=flags.phase,
        command_line=flags.command_line,
        environment=relevant_environment(),
        retrain_lost=flags.retrain_lost,
        profile_steps=flags.profile,
        evaluates=not flags.no_evaluations,
        attempt=flags.attempt,
        expected_step=worker.expected_step(),
    )
    return 0


def _evaluate(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    _check_evaluation_flags(flags)
    if flags.download is not None:
        return task_data.fetch(config, flags.download)
    config = task_data.with_data(config, flags.data)
    start_machine(flags)
    from codepretrain.study.run import evaluate_phases
    from codepretrain.study.workspace import Workspace

    evaluate_phases(
        Workspace(config, flags.workdir),
        only=flags.phase,
        step=flags.step,
        watch_poll_s=flags.poll_s if flags.watch else None,
        watches_temporary=flags.watch == "all",
        attempt=flags.attempt,
        command_line=flags.command_line,
        environment=relevant_environment(),
    )
    return 0


def _check_evaluation_flags(flags: argparse.Namespace) -> None:
    """Raises UserError for flags that mean nothing beside each other."""
    if flags.download is not None:
        for name in ("data", "phase", "step", "watch"):
            if getattr(flags, name) is not None:
                raise UserError(f"--download evaluates nothing: expected no --{name} with it")
    if flags.watch and flags.step is not None:
        raise UserError("--watch evaluates all steps: expected no --step with it")
    if is_given(flags, "poll_s") and not flags.watch:
        raise UserError("--poll-s: expected --watch with it")
