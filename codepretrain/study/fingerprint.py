"""The hash of everything that can change a phase's result, and of nothing else.

Resolved values go in, not the way they were written: two budgets that compile to the same steps,
weights 1:1 and 0.5:0.5, or a learning rate taken from the parent and the same number written out
give one fingerprint. Names of phases, repetition caps, execution, checkpointing, logging and
evaluations stay out. A phase whose rows are not prepared yet is identified by the settings that
will make them, one that starts from a model not imported yet by the model's name: such a
fingerprint is provisional and changes once when the rows exist and the weights are known.
"""

from collections.abc import Mapping
from typing import Any

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.files.identity import digest
from codepretrain.optim.schedules import resolve
from codepretrain.stream.mixture import MixtureStage, shares
from codepretrain.study.graph import Phase

FORMAT = 1


def contents(
    config: StudyConfig, phase: Phase, *, rows: Mapping[str, str], imports: Mapping[str, str]
) -> dict[str, Any]:
    """Returns what the fingerprint of `phase` hashes, as JSON-ready values.

    Args:
      rows: per source, the hash that stands for its training rows: the manifest's, or the
        settings' while there is none.
      imports: per imported checkpoint, the hash that stands for its weights.
    """
    training = to_dict(config.training)
    del training["max_consecutive_skips"]  # ends a run, never alters one
    sources = sorted(source for source, count in phase.rows_per_source().items() if count)
    parent = contents(config, phase.parent, rows=rows, imports=imports) if phase.parent else None
    initial = phase.config.initial_checkpoint
    return {
        "format": FORMAT,
        "seed": config.seed,
        "model": to_dict(config.model),
        "training": training,
        "optimizer": {**to_dict(config.optimizer), "weight_decay": phase.weight_decay},
        "max_seq_len": config.data.max_seq_len,
        "num_steps": phase.num_steps,
        "mixture": [
            {"num_rows": stage.num_rows, "weights": _shares(stage)} for stage in phase.stages
        ],
        "schedule": _schedule(phase),
        "rows": {source: rows[source] for source in sources},
        "start_ordinals": {source: phase.start_ordinals.get(source, 0) for source in sources},
        "parent": digest(parent) if parent else imports[initial] if initial else None,
        "parent_step": phase.parent_step if parent else None,
        "carry_optimizer": phase.config.carry_optimizer if parent else None,
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
        name: digest(contents(config, phase, rows=rows, imports=imports))
        for name, phase in phases.items()
    }


def _shares(stage: MixtureStage) -> dict[str, str]:
    return {source: str(share) for source, share in shares(stage.weights).items()}


def _schedule(phase: Phase) -> dict[str, Any]:
    schedule = phase.config.schedule
    rates = resolve(
        schedule, num_steps=phase.num_steps, parent_learning_rate=phase.parent_learning_rate
    )
    constant = schedule.shape == "constant"
    return {
        "shape": schedule.shape,
        "warmup_steps": schedule.warmup_steps,
        "start": rates.start if schedule.warmup_steps else rates.peak,
        "peak": rates.peak,
        "end": rates.end,
        "decay_fraction": None if constant else schedule.decay_fraction,
    }
