"""Fingerprints: a hash of everything that can change a phase's result, and nothing else.

A phase's fingerprint identifies its state after its last step. It hashes resolved values, not their
spelling: two budgets that give the same steps, weights 1:1 and 0.5:0.5, or a learning
rate taken from the parent and the same number in the config have one fingerprint. It leaves out
phase names, repetition caps, execution, checkpointing, logging and evaluations.

**Branches.** A child depends on its parent's state at the branch point, so its fingerprint includes
the fingerprint of the parent as if it ended there: the sources of the rows up to the branch point
in order, the learning rates up to it, and so on. Later steps of the parent do not matter.

    trunk, constant rate, 100 steps      the trunk extended to 200 steps
        └─ child at step 60                  └─ child at step 60: the same fingerprint

This holds only where the two trunks agree. Extending a cosine schedule changes the rate at every
step. A mixture keeps its order if its shares are whole numbers of rows; otherwise it may change:
160 rows at 0.61 and 0.39 are 98 and 62, 320 rows are 195 and 125. To extend such a phase and keep
its children, add a phase that continues it (`parent=`) instead.

**Averages.** What is hashed are the states that are averaged, each by the fingerprint of its phase
as if it ended there, their steps, and their normalized weights, all in order. How the members were
chosen (a soup, the last k, a decay) is no part of it.

**Provisional fingerprints.** A source whose rows are not prepared is identified by the settings
that will make them, a model that is not imported by its name. Such a fingerprint changes once, when
the rows exist and the weights are known.
"""

from collections.abc import Mapping
from typing import Any

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.files.hashing import sha256_json
from codepretrain.study.graph import AveragePhase, Origin, Phase, TrainingPhase

FORMAT = 3


def contents(
    config: StudyConfig,
    phase: Phase,
    *,
    rows: Mapping[str, str],
    imports: Mapping[str, str],
    step: int | None = None,
) -> dict[str, Any]:
    """Returns what the fingerprint of `phase` hashes, as JSON-ready values.

    Args:
      rows: per source, the hash that identifies its training rows: the manifest's, or the
        settings' while there is none.
      imports: per imported checkpoint, the hash that identifies its weights.
      step: of the state that is identified; None for the phase's last.
    """
    step = phase.num_steps if step is None else step
    if isinstance(phase, AveragePhase):
        assert step == phase.num_steps, (phase.name, step)
        return _contents_of_average(config, phase, rows=rows, imports=imports)
    training = to_dict(config.training)
    del training["max_consecutive_skips"]  # ends a run, never alters one
    prefix = phase.prefix(step)
    return {
        "format": FORMAT,
        "data_order_seed": phase.seeds.data_order_seed,
        "model": to_dict(config.model),
        "training": training,
        "optimizer": {**to_dict(config.optimizer), "weight_decay": phase.weight_decay},
        "max_seq_len": config.data.max_seq_len,
        "num_steps": step,
        "mixture": {"rows": dict(prefix.rows), "order": prefix.digest},
        "learning_rates": phase.rates.prefix(step),
        "rows": {source: rows[source] for source in prefix.rows},
        "start_ordinals": {source: phase.start_ordinals.get(source, 0) for source in prefix.rows},
        **_origin(config, phase, rows=rows, imports=imports),
    }


def _contents_of_average(
    config: StudyConfig, phase: AveragePhase, *, rows: Mapping[str, str], imports: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the states that are averaged, in order, each as the fingerprint of a phase's end."""

    def state(member: Origin) -> str:
        return sha256_json(
            contents(config, member.phase, rows=rows, imports=imports, step=member.step)
        )

    return {
        "format": FORMAT,
        "kind": "average",
        "members": [
            {"state": state(member), "step": member.step, "weight": member.weight}
            for member in phase.members
        ],
    }


def fingerprints(
    config: StudyConfig,
    phases: Mapping[str, Phase],
    *,
    rows: Mapping[str, str],
    imports: Mapping[str, str],
) -> dict[str, str]:
    """Returns each phase's fingerprint by name. Phases that share one are trained once."""
    return {
        name: sha256_json(contents(config, phase, rows=rows, imports=imports))
        for name, phase in phases.items()
    }


def _origin(
    config: StudyConfig,
    phase: TrainingPhase,
    *,
    rows: Mapping[str, str],
    imports: Mapping[str, str],
) -> dict[str, Any]:
    """Returns what identifies the state that the phase starts from."""
    initial = phase.config.initial_checkpoint
    if phase.parent is None:
        parent = imports[initial] if initial else None
        return {
            "parent": parent,
            "initialization_seed": None if initial else phase.seeds.initialization_seed,
            "parent_step": None,
            "carry_optimizer": None,
        }
    at_branch = contents(config, phase.parent, rows=rows, imports=imports, step=phase.parent_step)
    return {
        "parent": sha256_json(at_branch),
        "parent_step": phase.parent_step,
        "carry_optimizer": phase.config.carry_optimizer,
    }
