"""Follows running phases: evaluates their checkpoints in this job, as another one commits them.

The job may run on other hardware. It needs no hold of the runs, only the same working directory,
and writes records of its own (`metrics/evaluation_records.py`). It holds a checkpoint against
deletion while it reads it (`checkpoint/reading.py`).
"""

import functools
import time
from collections.abc import Mapping, Sequence

from etils import epath
from rich.console import Console

from codepretrain.checkpoint.record import is_permanent, steps_in
from codepretrain.hosts import decide
from codepretrain.metrics.evaluation_records import lost_results, results_at, watch_folder
from codepretrain.progress_pipe import PROGRESS
from codepretrain.stream.ledger import saved_step
from codepretrain.study.runner import Runner
from codepretrain.study.workspace import Workspace


def watch(
    workspace: Workspace,
    runner: Runner,
    names: Sequence[str],
    console: Console,
    *,
    poll_s: float,
    includes_temporary: bool = False,
) -> None:
    """Evaluates the checkpoints of the phases `names` until all are trained and evaluated.

    Args:
      includes_temporary: also those that are saved by time or by a preemption, at steps that differ
        from one execution to another.
      poll_s: seconds between two looks at the folders of the runs.
    """
    digests = {evaluator.name: evaluator.digest for evaluator in runner.evaluators}
    waiting = {workspace.fingerprint(name): name for name in reversed(names)}
    tried: set[tuple[str, int]] = set()

    recorded: set[tuple[str, int]] = set()  # looked up once

    def look(name: str) -> tuple[list[int], bool]:
        """Returns the checkpoints to evaluate, and whether there will be no others."""
        run_dir = workspace.run_dir(name)
        is_trained = saved_step(run_dir / "ledger.json") == workspace.phases[name].num_steps
        committed = [
            s for s, unfinished in steps_in(run_dir / "checkpoints").items() if not unfinished
        ]
        done = tried | recorded
        new = [step for step in committed if (name, step) not in done]
        missing = [step for step in new if _is_missing(run_dir, step, digests)]
        recorded.update((name, step) for step in set(new) - set(missing))
        return [
            step
            for step in missing
            if includes_temporary or is_permanent(run_dir / "checkpoints" / str(step))
        ], is_trained

    is_told, num_evaluated = False, 0
    while waiting:
        PROGRESS.count()
        for fingerprint, name in reversed(list(waiting.items())):
            steps, is_trained = decide("the new checkpoints", functools.partial(look, name))
            for step in steps:
                if runner.evaluate_beside(name, step):
                    num_evaluated += 1
                    PROGRESS.note({"evaluated": num_evaluated})
                    console.print(f"{name}: step {step:,} evaluated", soft_wrap=True)
                tried.add((name, step))
            is_told &= not steps
            if is_trained and not steps:
                del waiting[fingerprint]
        if waiting and not is_told:
            names_left = ", ".join(reversed(waiting.values()))
            console.print(f"waiting for checkpoints of {names_left}", soft_wrap=True)
            is_told = True
        if waiting:
            PROGRESS.set_activity("watch")
            time.sleep(poll_s)


def _is_missing(run_dir: epath.Path, step: int, digests: Mapping[str, str]) -> bool:
    """Returns whether a result is missing, or item files of one that this job recorded."""
    found = results_at(run_dir, step)
    own = {key: found[key] for key in digests.items() if key in found}
    watched = {key: of for key, of in own.items() if of[0] == watch_folder(run_dir)}
    return len(own) < len(digests) or bool(lost_results(watched))
