"""A study's phases, resolved: budgets in steps and rows, cursors, learning rates.

    text_pretrain ──┬── text_cooldown              variants: text_only → text_cooldown
                    └── text_cooldown_with_code              text_code → text_cooldown_with_code
                        (the trunk is one phase: trained once)

A phase of `tokens` becomes the nearest whole number of steps of `batch_size` rows of `max_seq_len`
tokens. Everything here is a pure function of the config: no data, no devices.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from codepretrain.config.schema import PhaseConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.optim import schedules
from codepretrain.stream.order import MixtureStage, RowOrder, apportion


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase, ready to plan and to train.

    `parent_step` is the parent's step count at the branch point. `start_ordinals` is how many rows
    of each source the path here has drawn already: where the phase's cursors start.
    `tokens` is what `num_steps` steps make of the `requested_tokens`.
    """

    name: str
    config: PhaseConfig
    parent: "Phase | None"
    parent_step: int
    num_steps: int
    batch_size: int
    max_seq_len: int
    stages: tuple[MixtureStage, ...]
    start_ordinals: Mapping[str, int]
    parent_learning_rate: float | None
    weight_decay: float

    @property
    def num_rows(self) -> int:
        return self.num_steps * self.batch_size

    @property
    def tokens(self) -> int:
        return self.num_rows * self.max_seq_len

    @property
    def requested_tokens(self) -> int:
        return self.config.tokens

    @property
    def tokens_before(self) -> int:
        """Tokens that the path from random parameters has seen when this phase starts."""
        if self.parent is None:
            return 0
        step_tokens = self.batch_size * self.max_seq_len
        return self.parent.tokens_before + self.parent_step * step_tokens

    @property
    def path(self) -> tuple["Phase", ...]:
        """The phases from random parameters to this one."""
        return (*(self.parent.path if self.parent else ()), self)

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of update `step`, 0 ≤ step < num_steps."""
        return schedules.learning_rate(
            self.config.schedule,
            step,
            num_steps=self.num_steps,
            parent_learning_rate=self.parent_learning_rate,
        )

    def rows_per_source(self) -> dict[str, int]:
        """Returns the rows that the whole phase draws of each source, exactly."""
        totals: dict[str, int] = {}
        for stage in self.stages:
            rows_of = apportion(stage.weights, stage.num_rows, max_seq_len=self.max_seq_len)
            for source, rows in rows_of.items():
                totals[source] = totals.get(source, 0) + rows
        return totals

    def end_ordinals(self) -> dict[str, int]:
        """Returns where each source's cursor stands when the phase is done."""
        return _add(self.start_ordinals, self.rows_per_source())


def resolve(config: StudyConfig) -> dict[str, Phase]:
    """Returns the study's phases by name, parents before children.

    Raises:
      UserError: a schedule that does not fit its phase, or a mixture that cannot be apportioned.
    """
    phases: dict[str, Phase] = {}
    for name in config.phases:
        _resolve_into(phases, name, config)
    return phases


def resolve_phase(config: StudyConfig, name: str) -> Phase:
    """Returns one phase of the study, resolved with its ancestors."""
    phases: dict[str, Phase] = {}
    return _resolve_into(phases, name, config)


def row_order(phase: Phase, *, seed: int, rows_available: Mapping[str, int]) -> RowOrder:
    """Returns which row of which source stands at every position of the phase."""
    return RowOrder.build(
        phase.stages,
        batch_size=phase.batch_size,
        start_ordinals=phase.start_ordinals,
        seed=seed,
        rows_available=rows_available,
    )


def branch_steps(phases: Mapping[str, Phase], name: str) -> set[int]:
    """Returns the steps of phase `name` that must be kept: its end, and where children branch."""
    steps = {phases[name].num_steps}
    for phase in phases.values():
        if phase.parent is not None and phase.parent.name == name:
            steps.add(phase.parent_step)
    return steps


def _resolve_into(phases: dict[str, Phase], name: str, config: StudyConfig) -> Phase:
    if name in phases:
        return phases[name]
    phase_config = config.phases[name]
    parent = None
    if phase_config.parent is not None:
        parent = _resolve_into(phases, phase_config.parent, config)
    num_steps = _steps(phase_config.tokens, config)
    parent_step = _parent_step(phase_config, parent, config)
    decay = phase_config.weight_decay
    phase = Phase(
        name=name,
        config=phase_config,
        parent=parent,
        parent_step=parent_step,
        num_steps=num_steps,
        batch_size=config.training.batch_size,
        max_seq_len=config.data.max_seq_len,
        stages=_stages(name, phase_config, num_steps, config),
        start_ordinals=_start_ordinals(phase_config, parent, parent_step, config),
        parent_learning_rate=parent.learning_rate(parent_step - 1) if parent else None,
        weight_decay=config.optimizer.weight_decay if decay is None else decay,
    )
    try:
        phase.learning_rate(0)
        phase.rows_per_source()
    except UserError as error:
        raise UserError(f"config.phases.{name}: {error}") from error
    phases[name] = phase
    return phase


def _steps(tokens: int, config: StudyConfig) -> int:
    """Returns the nearest whole number of steps, halves up."""
    step_tokens = config.training.batch_size * config.data.max_seq_len
    return (2 * tokens + step_tokens) // (2 * step_tokens)


def _parent_step(phase: PhaseConfig, parent: Phase | None, config: StudyConfig) -> int:
    if parent is None:
        return 0
    if phase.parent_tokens is None:
        return parent.num_steps
    return min(max(_steps(phase.parent_tokens, config), 1), parent.num_steps)


def _stages(
    name: str, phase: PhaseConfig, num_steps: int, config: StudyConfig
) -> tuple[MixtureStage, ...]:
    """Returns the stretches of constant weights; mixtures change between steps, never within."""
    starts = [0, *(_steps(change.at_tokens, config) for change in phase.mixture_changes)]
    weights = [phase.mixture, *(change.weights for change in phase.mixture_changes)]
    ends = [*starts[1:], num_steps]
    for start, end in zip(starts, ends, strict=True):
        if start >= end:
            raise UserError(
                f"config.phases.{name}.mixture_changes: the stretch from step {start} to {end} "
                f"holds no step; one step is {config.training.batch_size} rows of "
                f"{config.data.max_seq_len} tokens"
            )
    batch_size = config.training.batch_size
    return tuple(
        MixtureStage(
            num_rows=(end - start) * batch_size, weights={s: w for s, w in ws.items() if w > 0}
        )
        for start, end, ws in zip(starts, ends, weights, strict=True)
    )


def _start_ordinals(
    phase: PhaseConfig, parent: Phase | None, parent_step: int, config: StudyConfig
) -> dict[str, int]:
    if parent is None or phase.data_order == "restart":
        return {}
    if parent_step == parent.num_steps:
        return parent.end_ordinals()
    # Where a cursor stands within a phase depends on the mixture alone, not on how much is held.
    sources = {**parent.start_ordinals, **parent.rows_per_source()}
    plan = row_order(parent, seed=config.seed, rows_available=dict.fromkeys(sources, 1))
    return _add(parent.start_ordinals, plan.counts(parent_step * parent.batch_size))


def _add(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
