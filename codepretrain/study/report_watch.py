"""The report of a study that is running, written again whenever its runs have recorded more."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from codepretrain.progress_pipe import PROGRESS
from codepretrain.report.collect import ReportInput, RunResults, StudyResults, collect
from codepretrain.report.write import write_report
from codepretrain.study.report_input import report_input
from codepretrain.study.workspace import Workspace


def watch_report(
    open_workspace: Callable[[], Workspace], *, command_line: str, poll_s: int
) -> None:
    """Writes the report whenever there is more to show; returns when the study is complete.

    The last report, of the complete study, is left to the caller.

    Args:
      open_workspace: opens the working directory again: runs of data that is prepared meanwhile
        have other folders.
      poll_s: seconds between two looks at the runs. The page reloads itself as often.
    """
    console = Console()
    written: Any = None
    while True:
        PROGRESS.count()
        workspace = open_workspace()
        spec = report_input(workspace, command_line=command_line)
        results = collect(spec)
        if _is_done(spec, results):
            console.print(f"the study is complete: {_progress(spec, results)}", soft_wrap=True)
            return
        state = _state(results)
        if all(run.status == "missing" for run in results.runs.values()):
            if written is None:
                console.print(f"waiting for the first run in {workspace.workdir}", soft_wrap=True)
            written = ()
        elif state != written:
            folder = workspace.workdir / "reports" / workspace.config.name
            page = write_report(spec, folder, reload_s=poll_s)
            console.print(f"report: {page}, {_progress(spec, results)}", soft_wrap=True)
            written = state
        PROGRESS.set_activity("watch")
        time.sleep(poll_s)


def _state(results: StudyResults) -> Any:
    """Returns what a report is of: the steps and evaluations of every run."""
    return tuple(
        (name, run.status, run.last_step, len(run.evaluations), run.problems)
        for name, run in results.runs.items()
    )


def _progress(spec: ReportInput, results: StudyResults) -> str:
    """Returns "480 of 3,280 steps, 4 of 40 evaluations at the end of a phase"."""
    runs = results.runs.values()
    steps = sum(run.last_step for run in runs)
    of_steps = sum(run.plan.steps for run in runs)
    ended = sum(_has_ended(run, name) for run in runs for name in spec.evaluators)
    of_ended = len(runs) * len(spec.evaluators)
    return (
        f"{steps:,} of {of_steps:,} steps, {ended:,} of {of_ended:,} evaluations at the end of a "
        "phase"
    )


def _is_done(spec: ReportInput, results: StudyResults) -> bool:
    """Returns whether every run is complete and every evaluation has succeeded or failed there."""
    runs = results.runs.values()
    return all(run.status == "complete" for run in runs) and all(
        _has_ended(run, name) for run in runs for name in spec.evaluators
    )


def _has_ended(run: RunResults, evaluator: str) -> bool:
    return run.at_end(evaluator) is not None or (evaluator, run.plan.steps) in run.unusable
