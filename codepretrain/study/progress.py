"""The progress of a phase, according to the files of its run.

Processes may see different files, so with several processes only process 0 may call this (see
`hosts.decide`).
"""

from collections.abc import Mapping
from typing import Literal

from codepretrain.checkpoint.record import steps_in
from codepretrain.metrics.evaluation_records import recorded_digests
from codepretrain.stream.ledger import saved_step
from codepretrain.study.workspace import Workspace

Progress = Literal["trained", "to evaluate", "to train"]


def progress(workspace: Workspace, name: str, digests: Mapping[str, str]) -> Progress:
    """Returns the remaining work of a phase.

    "to evaluate": its end is reached and its last checkpoint exists, but not every evaluation of
    that checkpoint is recorded.

    Args:
      digests: evaluator → the digest of its identity. A result of another digest, such as of other
        items, is no result of this study.
    """
    run_dir, num_steps = workspace.run_dir(name), workspace.phases[name].num_steps
    if saved_step(run_dir / "ledger.json") != num_steps:
        return "to train"
    if recorded_digests(run_dir, num_steps) >= digests.items():
        return "trained"
    is_unfinished = steps_in(run_dir / "checkpoints").get(num_steps, True)
    return "to train" if is_unfinished else "to evaluate"
