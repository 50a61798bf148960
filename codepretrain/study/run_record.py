"""What `run.json` says of a run."""

from typing import Any

from codepretrain.config.parse import to_dict
from codepretrain.study.graph import AveragePhase, TrainingPhase
from codepretrain.study.workspace import Workspace


def run_record(workspace: Workspace, name: str) -> dict[str, Any]:
    """Returns what the run of a phase is: the phase, what it starts from, and the study."""
    phase = workspace.phases[name]
    parent = phase.parent.name if isinstance(phase, TrainingPhase) and phase.parent else None
    return {
        "study": workspace.config.name,
        "phase": name,
        "fingerprint": workspace.fingerprint(name),
        "parent": parent,
        "parent_fingerprint": workspace.fingerprint(parent) if parent else None,
        "parent_step": phase.origins[0].step if parent else None,
        "members": [
            {
                "phase": member.phase.name,
                "fingerprint": workspace.fingerprint(member.phase.name),
                "step": member.step,
                "weight": member.weight,
            }
            for member in (phase.members if isinstance(phase, AveragePhase) else ())
        ],
        "initial_checkpoint": phase.config.initial_checkpoint,
        "steps": phase.num_steps,
        "tokens": phase.tokens,
        "identity": workspace.identity(name),
        "config": to_dict(workspace.config),
    }
