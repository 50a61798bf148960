"""The commands `report`, `show-batch` and `verify-data`: what is in a working directory."""

import argparse
from collections.abc import Callable

from rich.console import Console

from codepretrain.cli.flags import is_given, whole_number
from codepretrain.cli.output import print_json
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files.writable import check_writable
from codepretrain.progress_pipe import PROGRESS


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the commands and their flags to the command line."""
    report = add(
        "report",
        _report,
        "write the report page and print the table of results; of several studies: one page",
        takes_several_studies=True,
    )
    report.add_argument(
        "--items", action="store_true", help="write the scores of all items too: items/*.csv"
    )
    report.add_argument(
        "--watch",
        action="store_true",
        help="write the page again as the runs record more, until the study is complete",
    )
    report.add_argument(
        "--poll-s",
        type=whole_number(1, 86_400),
        default=60,
        help="with --watch: seconds between two looks at the runs (default: 60)",
    )
    show_batch = add("show-batch", _show_batch, "list the rows and documents of one batch")
    show_batch.add_argument("--phase", required=True)
    show_batch.add_argument(
        "--step", type=whole_number(0), required=True, help="0 is the phase's first batch"
    )
    show_batch.add_argument("--json", action="store_true", help="print JSON")
    add("verify-data", _verify_data, "read all prepared data and compare it with its hashes")


def _report(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    PROGRESS.set_activity("report")
    if flags.watch and flags.others:
        raise UserError(f"--watch: expected one --config file, got {1 + len(flags.others)}")
    if is_given(flags, "poll_s") and not flags.watch:
        raise UserError("--poll-s: expected --watch with it")
    check_writable(flags.workdir / "reports", name="the folder of reports")
    from codepretrain.study.report import report_studies, report_study
    from codepretrain.study.report_watch import watch_report
    from codepretrain.study.workspace import Workspace

    if flags.watch:
        watch_report(
            lambda: Workspace(config, flags.workdir),
            command_line=flags.command_line,
            poll_s=flags.poll_s,
        )
    if flags.others:
        workspaces = [Workspace(one, flags.workdir) for one in (config, *flags.others)]
        report_studies(workspaces, command_line=flags.command_line, has_items=flags.items)
        return 0
    report_study(
        Workspace(config, flags.workdir), command_line=flags.command_line, has_items=flags.items
    )
    return 0


def _show_batch(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.study.show_batch import show_batch
    from codepretrain.study.workspace import Workspace

    workspace = Workspace(config, flags.workdir)
    text, values = show_batch(workspace, phase_name=flags.phase, step=flags.step)
    if flags.json:
        print_json(values)
    else:
        print(text)
    return 0


def _verify_data(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.data.prepared import summary, verify_prepared
    from codepretrain.rows.data_dir import data_dir

    console = Console()
    prepared = verify_prepared(
        config,
        data_dir(flags.workdir, config),
        announce=lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False),
    )
    console.print(summary(prepared), crop=False)
    return 0
