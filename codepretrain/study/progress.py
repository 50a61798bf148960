"""The progress of a phase, according to the files of its run.

Processes may see different files, so with several processes only process 0 may call this (see
`hosts.decide`).
"""

from collections.abc import Mapping
from typing import Literal

from codepretrain.checkpoint.record import steps_in
from codepretrain.metrics.evaluation_records import lost_results, results_at
from codepretrain.stream.ledger import saved_step
from codepretrain.study.workspace import Workspace

Progress = Literal["trained", "scores lost", "to evaluate", "to train"]


def progress(workspace: Workspace, name: str, digests: Mapping[str, str]) -> Progress:
    """Returns the remaining work of a phase.

    "to evaluate": its end is reached and its last checkpoint exists, but not every evaluation of
    that checkpoint is recorded with its item files. "scores lost": all are recorded and item files
    are lost, but there is no checkpoint to evaluate again.

    Args:
      digests: evaluator → the digest of its identity. A result of another digest, such as of other
        items, is no result of this study.
    """
    run_dir, num_steps = workspace.run_dir(name), workspace.phases[name].num_steps
    if saved_step(run_dir / "ledger.json") != num_steps:
        return "to train"
    found = results_at(run_dir, num_steps)
    own = {key: found[key] for key in digests.items() if key in found}
    is_recorded = len(own) == len(digests)
    if is_recorded and not lost_results(own):
        return "trained"
    if not steps_in(run_dir / "checkpoints").get(num_steps, True):
        return "to evaluate"
    return "scores lost" if is_recorded else "to train"
