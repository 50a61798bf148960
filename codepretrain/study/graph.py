"""A study's phases, resolved: budgets in steps and rows, cursors, learning rates.

    text_pretrain ──┬── text_cooldown              variants: text_only → text_cooldown
                    └── text_cooldown_with_code              text_code → text_cooldown_with_code
                        (the trunk is one phase: trained once)

A phase of `tokens` has the nearest whole number of steps of `batch_size` rows of `max_seq_len`
tokens. Everything here is a pure function of the config: no data, no devices.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from codepretrain.config.replicates import seeds
from codepretrain.config.schema import PhaseConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.stream.order import RowOrder
from codepretrain.stream.stages import num_steps, phase_stages
from codepretrain.study.average_members import members_of
from codepretrain.study.phase import AveragePhase, Origin, Phase, TrainingPhase
from codepretrain.study.replicates import counts_of_phases, replicate_name

__all__ = [
    "AveragePhase",
    "Origin",
    "Phase",
    "TrainingPhase",
    "branch_steps",
    "resolve",
    "row_order",
]


def resolve(config: StudyConfig) -> dict[str, Phase]:
    """Returns the phases of every replicate by name, parents before children.

    Raises:
      UserError: a schedule that does not fit its phase, a mixture that cannot be apportioned, or an
        average of checkpoints that are not kept.
    """
    phases: dict[str, Phase] = {}
    counts = counts_of_phases(config)
    for replicate in range(len(seeds(config))):
        for name, count in counts.items():
            if replicate < count:
                _resolve_into(phases, name, replicate, config)
    return phases


def row_order(phase: Phase, *, rows_available: Mapping[str, int]) -> RowOrder:
    """Returns which row of which source is at every position of a training phase."""
    assert isinstance(phase, TrainingPhase), f"{phase.name} is an average, which reads nothing"
    return RowOrder.build(
        phase.stages,
        batch_size=phase.batch_size,
        start_ordinals=phase.start_ordinals,
        path_rows_before=phase.path_rows_before,
        seed=phase.seeds.data_order_seed,
        rows_available=rows_available,
    )


def branch_steps(phases: Mapping[str, Phase], name: str) -> set[int]:
    """Returns the steps of a phase whose checkpoints are kept: its end, and what others need."""
    others = (origin for phase in phases.values() for origin in phase.origins)
    return {phases[name].num_steps} | {o.step for o in others if o.phase.name == name}


def _resolve_into(
    phases: dict[str, Phase], name: str, replicate: int, config: StudyConfig
) -> Phase:
    """Returns a phase, adding it to `phases` after all that it starts from."""
    phase_config = config.phases[name]
    if not phase_config.is_replicated:
        replicate = 0
    full_name = replicate_name(name, replicate)
    if full_name in phases:
        return phases[full_name]
    origins = [_resolve_into(phases, o, replicate, config) for o in phase_config.origins]
    common: dict[str, Any] = {
        "name": full_name,
        "config": phase_config,
        "replicate": replicate,
        "seeds": seeds(config)[replicate],
        "batch_size": config.training.batch_size,
        "max_seq_len": config.data.max_seq_len,
    }
    if phase_config.average is not None:
        with _prefixed(f"config.phases.{name}.average."):
            members = members_of(phase_config.average, origins, config.checkpoint)
        phases[full_name] = AveragePhase(members=members, **common)
    else:
        parent = origins[0] if origins else None
        phases[full_name] = _training_phase(name, parent, config, common)
    return phases[full_name]


def _training_phase(
    name: str, parent: Phase | None, config: StudyConfig, common: Mapping[str, Any]
) -> TrainingPhase:
    phase_config = config.phases[name]
    assert phase_config.tokens is not None
    assert phase_config.schedule is not None
    parent_step = _parent_step(phase_config, parent, config)
    start_ordinals, earlier_draws = _cursors(phase_config, parent, parent_step)
    decay = phase_config.weight_decay
    phase = TrainingPhase(
        schedule=phase_config.schedule,
        parent=parent,
        parent_step=parent_step,
        num_steps=num_steps(phase_config.tokens, config),
        stages=phase_stages(name, phase_config, config),
        start_ordinals=start_ordinals,
        earlier_draws=earlier_draws,
        parent_learning_rate=(
            parent.learning_rate(parent_step - 1) if isinstance(parent, TrainingPhase) else None
        ),
        weight_decay=config.optimizer.weight_decay if decay is None else decay,
        **common,
    )
    with _prefixed(f"config.phases.{name}."):
        _ = phase.rates
    with _prefixed(f"config.phases.{name}.mixture: "):
        phase.rows_per_source()
    return phase


@contextmanager
def _prefixed(path: str) -> Iterator[None]:
    """Prefixes a UserError's message with the config path."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}{error}") from error


def _parent_step(phase: PhaseConfig, parent: Phase | None, config: StudyConfig) -> int:
    if parent is None:
        return 0
    if phase.parent_tokens is None:
        return parent.num_steps
    return min(max(num_steps(phase.parent_tokens, config), 1), parent.num_steps)


def _cursors(
    phase: PhaseConfig, parent: Phase | None, parent_step: int
) -> tuple[dict[str, int], tuple[Mapping[str, int], ...]]:
    """Returns the phase's initial cursors, and the draws of cursors restarted before it."""
    if parent is None:
        return {}, ()
    at_branch = parent.ordinals_at(parent_step)
    if phase.data_order == "restart":
        return {}, (*parent.earlier_draws, at_branch)
    return at_branch, parent.earlier_draws
