"""The progress of a phase, according to the files of its run.

Processes may see different files, so with several processes only process 0 may call this (see
`hosts.decide`).
"""

from collections.abc import Mapping
from typing import Literal

from codepretrain.checkpoint.record import steps_in
from codepretrain.files import journal
from codepretrain.metrics.writer import EVALUATION_FIELDS, is_result
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
    records = journal.read(run_dir / "evals.jsonl", fields=EVALUATION_FIELDS)
    recorded = {
        (record["evaluator"], record["digest"])
        for record in records
        if record["step"] == num_steps and is_result(record)
    }
    if recorded >= digests.items():
        return "trained"
    is_unfinished = steps_in(run_dir / "checkpoints").get(num_steps, True)
    return "to train" if is_unfinished else "to evaluate"
