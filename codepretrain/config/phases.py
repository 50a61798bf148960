"""Checks of a phase that involve several of its fields, or other phases."""

import dataclasses
from collections.abc import Mapping

from codepretrain.config.schema import AverageConfig, PhaseConfig, StudyConfig
from codepretrain.config.values import check_reference
from codepretrain.errors import UserError

_MAX_ROWS = 2**32  # of a phase: their order is computed in 64-bit integers
_OF_AVERAGES = ("kind", "average", "is_replicated")


def check_phase(config: StudyConfig, name: str, phase: PhaseConfig) -> None:
    """Raises UserError for a phase that cannot be trained, or an average that cannot be made."""
    path = f"config.phases.{name}"
    if phase.kind == "average":
        _check_fields_of_average(path, phase)
    else:
        _check_training(config, path, phase)
    _check_origins(config, name, (name,))
    if phase.average is not None:
        _check_average(config, f"{path}.average", phase.average)
    elif phase.parent is not None:
        _check_branch(config, path, phase, phase.parent)


def _check_training(config: StudyConfig, path: str, phase: PhaseConfig) -> None:
    if phase.average is not None:
        raise UserError(f'{path}.average is set: set {path}.kind to "average", or leave it out')
    if phase.schedule is None:
        raise UserError(f"{path}.schedule is missing: expected ScheduleConfig")
    tokens = phase.tokens
    if tokens is None:
        raise UserError(f"{path}.tokens is missing: expected a whole number")
    max_seq_len = config.data.max_seq_len
    step_tokens = config.training.batch_size * max_seq_len
    if tokens < step_tokens / 2:
        raise UserError(
            f"{path}.tokens = {tokens:,} is less than one step of {step_tokens:,} tokens "
            f"(batch_size {config.training.batch_size:,} × max_seq_len {max_seq_len:,})"
        )
    if tokens + step_tokens >= _MAX_ROWS * max_seq_len:
        raise UserError(
            f"{path}.tokens = {tokens:,} is too long: expected fewer than "
            f"{_MAX_ROWS * max_seq_len - step_tokens:,} (2**32 rows of {max_seq_len} tokens); "
            "divide it into phases"
        )
    _check_weights(f"{path}.mixture", phase.mixture, config)
    previous = 0
    for i, change in enumerate(phase.mixture_changes):
        at = f"{path}.mixture_changes[{i}]"
        if not previous < change.at_tokens < tokens:
            raise UserError(
                f"{at}.at_tokens = {change.at_tokens:,}: expected a position after {previous:,} "
                f"and before the phase's end at {tokens:,}"
            )
        previous = change.at_tokens
        _check_weights(f"{at}.weights", change.weights, config)
    if phase.parent is None and phase.parent_tokens is not None:
        raise UserError(f"{path}.parent_tokens is set, but {path}.parent is not")
    if phase.parent is not None and phase.initial_checkpoint is not None:
        raise UserError(
            f"{path} has both a parent and an initial_checkpoint; it can start from one only"
        )


def _check_fields_of_average(path: str, phase: PhaseConfig) -> None:
    if phase.average is None:
        raise UserError(f"{path}.average is missing: expected AverageConfig")
    for field in dataclasses.fields(PhaseConfig):
        if field.name in _OF_AVERAGES:
            continue
        is_mapping = field.default is dataclasses.MISSING
        if getattr(phase, field.name) != ({} if is_mapping else field.default):
            raise UserError(
                f"{path}.{field.name} is set, but the phase is an average, which has none: leave "
                "it out"
            )


def _check_origins(config: StudyConfig, name: str, seen: tuple[str, ...]) -> None:
    """Checks that the phases from which `name` starts exist, and that none of them is in `seen`.

    seen: the way from the phase that is checked to `name`.
    """
    phase = config.phases[name]
    for i, origin in enumerate(phase.origins):
        field = "parent" if phase.average is None else f"average.members[{i}]"
        check_reference(f"config.phases.{name}.{field}", origin, config.phases, "phase")
        if origin in seen:
            first = "parent" if config.phases[seen[0]].average is None else "average"
            raise UserError(
                f"config.phases.{seen[0]}.{first}: the phases form a cycle: "
                f"{' → '.join([*seen, origin])}"
            )
        _check_origins(config, origin, (*seen, origin))


def _check_average(config: StudyConfig, path: str, average: AverageConfig) -> None:
    members, is_soup = average.members, average.last_k is None and average.ema_decay is None
    for i, member in enumerate(members):
        if member in members[:i]:
            raise UserError(f"{path}.members[{i}]: {member!r} is there twice")
    if is_soup:
        if len(members) < 2:
            raise UserError(
                f"{path}.members: expected at least two phases, got {len(members)}; to average "
                "several checkpoints of one, set last_k or ema_decay"
            )
        if average.weights and len(average.weights) != len(members):
            raise UserError(
                f"{path}.weights: expected one for each of {len(members)} members, got "
                f"{len(average.weights)}"
            )
        return
    if average.last_k is not None and average.ema_decay is not None:
        raise UserError(f"{path} has both last_k and ema_decay: expected one of them")
    which = "last_k" if average.last_k is not None else "ema_decay"
    if len(members) != 1:
        raise UserError(f"{path}.members: {which} is of one phase, got {len(members)}")
    if average.weights:
        raise UserError(f"{path}.weights is set, but {which} has weights of its own: leave it out")
    if config.phases[members[0]].kind == "average":
        raise UserError(
            f"{path}.{which}: {members[0]!r} is an average itself, which has one checkpoint only"
        )


def _check_branch(config: StudyConfig, path: str, phase: PhaseConfig, parent: str) -> None:
    """Checks where a phase branches off its parent, and what it carries over."""
    budget = config.phases[parent].tokens
    if config.phases[parent].kind == "average":
        if phase.parent_tokens is not None:
            raise UserError(
                f"{path}.parent_tokens is set, but {parent!r} is an average, which has no tokens: "
                "leave it out"
            )
        if phase.carry_optimizer:
            raise UserError(
                f"{path}.carry_optimizer is True, but {parent!r} is an average, which has no "
                "optimizer state: set it to False"
            )
        _check_rates_after_average(path, phase, parent)
    elif phase.parent_tokens is not None and budget is not None and phase.parent_tokens > budget:
        raise UserError(
            f"{path}.parent_tokens = {phase.parent_tokens:,} exceeds config.phases.{parent}"
            f".tokens = {budget:,}"
        )


def _check_rates_after_average(path: str, phase: PhaseConfig, parent: str) -> None:
    schedule = phase.schedule
    assert schedule is not None
    rates = {"peak": schedule.peak_learning_rate}
    if schedule.warmup_steps:
        rates["start"] = schedule.start_learning_rate
    for which, rate in rates.items():
        if rate is None:
            raise UserError(
                f"{path}.schedule.{which}_learning_rate is None, which takes the parent's rate, "
                f"but {parent!r} is an average, which has none: set it to a number"
            )


def _check_weights(path: str, weights: Mapping[str, float], config: StudyConfig) -> None:
    for source, weight in weights.items():
        check_reference(f"{path}.{source}", source, config.data.sources, "source")
        if weight and config.data.sources[source].split == "held_out":
            raise UserError(
                f"{path}.{source}: expected a source that is trained on, but "
                f'config.data.sources.{source}.split is "held_out"'
            )
    if not any(weights.values()):
        raise UserError(f"{path}: expected at least one positive weight, got {dict(weights)}")
