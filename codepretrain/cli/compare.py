"""The command `compare`: two checkpoints of any runs, from what their evaluations recorded."""

import argparse

from rich.console import Console
from rich.text import Text

from codepretrain.cli.interop import Add
from codepretrain.cli.output import print_json

_CHECKPOINT = (
    "PHASE[@STEP] in the workdir, or FOLDER[@STEP] of a run anywhere; without a step the last one "
    "that was evaluated"
)


def add_command(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    compare = add("compare", _compare, "compare the evaluations of two checkpoints")
    compare.add_argument("baseline", metavar="A", help=_CHECKPOINT)
    compare.add_argument("checkpoint", metavar="B", help="likewise; the differences are B − A")
    compare.add_argument("--all", action="store_true", help="secondary metrics too")
    compare.add_argument("--json", action="store_true", help="print JSON")


def _compare(flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.files.json_values import plain
    from codepretrain.report.checkpoints import compare_checkpoints, find_checkpoint
    from codepretrain.report.findings import overview
    from codepretrain.report.results_json import comparison_json
    from codepretrain.report.terminal import MAX_WIDTH, legend, print_tables, rows_with_losses

    comparison = compare_checkpoints(
        find_checkpoint(flags.checkpoint, flags.workdir),
        find_checkpoint(flags.baseline, flags.workdir),
    )
    if flags.json:
        print_json(plain(comparison_json(comparison)))
        return 0
    console = Console()
    console.print(Text(overview(comparison)))
    scores = tuple(row for row in comparison.rows if row.is_score)
    print_tables(console, comparison, scores if flags.all else rows_with_losses(comparison))
    for problem in comparison.problems:
        console.print(Text(f"problem: {problem}", style="yellow"), soft_wrap=True)
    console.print(Text(legend(comparison), style="dim"), width=min(MAX_WIDTH, console.width))
    return 0
