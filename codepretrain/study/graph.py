"""A study's phases, resolved: budgets in steps and rows, cursors, learning rates.

    text_pretrain ──┬── text_cooldown              variants: text_only → text_cooldown
                    └── text_cooldown_with_code              text_code → text_cooldown_with_code
                        (the trunk is one phase: trained once)

A phase of `tokens` has the nearest whole number of steps of `batch_size` rows of `max_seq_len`
tokens. Everything here is a pure function of the config: no data, no devices.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from codepretrain.config.replicates import seeds
from codepretrain.config.schema import PhaseConfig, ReplicateConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.optim import schedules
from codepretrain.optim.schedules import Rates
from codepretrain.stream.mixture import MixtureStage, OrderPrefix, apportion, order_prefix
from codepretrain.stream.order import RowOrder
from codepretrain.stream.stages import num_steps, phase_stages
from codepretrain.study.replicates import counts_of_phases, replicate_name


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase, ready to be planned and trained.

    parent_step: the parent's step count at the branch point.
    start_ordinals: where each source's cursor is when the phase starts; 0 for a source that is
    absent.
    name: with the replicate's number, except for the first (`study/replicates.py`).
    earlier_draws: rows that each cursor of the path had drawn when a phase restarted it, one entry
    per restart.
    """

    name: str
    config: PhaseConfig
    replicate: int
    seeds: ReplicateConfig
    parent: "Phase | None"
    parent_step: int
    num_steps: int
    batch_size: int
    max_seq_len: int
    stages: tuple[MixtureStage, ...]
    start_ordinals: Mapping[str, int]
    earlier_draws: tuple[Mapping[str, int], ...]
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
        """Tokens in the config; `tokens` is the nearest whole number of steps."""
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
        return self.rates.at(step)

    @cached_property
    def rates(self) -> Rates:
        """The phase's schedule with every rate resolved."""
        return schedules.resolve(
            self.config.schedule,
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

    def prefix(self, step: int) -> OrderPrefix:
        """Returns the sources of the first `step` batches in order."""
        return order_prefix(self.stages, step * self.batch_size)

    def ordinals_at(self, step: int) -> dict[str, int]:
        """Returns each source's cursor after `step` batches."""
        at_end = step == self.num_steps
        drawn = self.rows_per_source() if at_end else self.prefix(step).rows
        return _add(self.start_ordinals, drawn)

    def draws_at(self, step: int) -> dict[str, tuple[int, ...]]:
        """Returns the rows that each cursor of the path has drawn of each source after `step`."""
        cursors = [*self.earlier_draws, self.ordinals_at(step)]
        sources = sorted({source for cursor in cursors for source in cursor})
        return {source: tuple(cursor.get(source, 0) for cursor in cursors) for source in sources}

    @property
    def path_rows_before(self) -> dict[str, int]:
        """Rows of each source that the path draws before this phase, restarted cursors included."""
        total: dict[str, int] = dict(self.start_ordinals)
        for cursor in self.earlier_draws:
            total = _add(total, cursor)
        return total


def resolve(config: StudyConfig) -> dict[str, Phase]:
    """Returns the phases of every replicate by name, parents before children.

    Raises:
      UserError: a schedule that does not fit its phase, or a mixture that cannot be apportioned.
    """
    phases: dict[str, Phase] = {}
    counts = counts_of_phases(config)
    for replicate in range(len(seeds(config))):
        for name, count in counts.items():
            if replicate < count:
                _resolve_into(phases, name, replicate, config)
    return phases


def row_order(phase: Phase, *, rows_available: Mapping[str, int]) -> RowOrder:
    """Returns which row of which source is at every position of the phase."""
    return RowOrder.build(
        phase.stages,
        batch_size=phase.batch_size,
        start_ordinals=phase.start_ordinals,
        path_rows_before=phase.path_rows_before,
        seed=phase.seeds.data_order_seed,
        rows_available=rows_available,
    )


def branch_steps(phases: Mapping[str, Phase], name: str) -> set[int]:
    """Returns the steps of a phase whose checkpoints are kept: its end and its branch points."""
    steps = {phases[name].num_steps}
    for phase in phases.values():
        if phase.parent is not None and phase.parent.name == name:
            steps.add(phase.parent_step)
    return steps


def _resolve_into(
    phases: dict[str, Phase], name: str, replicate: int, config: StudyConfig
) -> Phase:
    phase_config = config.phases[name]
    if not phase_config.is_replicated:
        replicate = 0
    full_name = replicate_name(name, replicate)
    if full_name in phases:
        return phases[full_name]
    parent = None
    if phase_config.parent is not None:
        parent = _resolve_into(phases, phase_config.parent, replicate, config)
    parent_step = _parent_step(phase_config, parent, config)
    start_ordinals, earlier_draws = _cursors(phase_config, parent, parent_step)
    decay = phase_config.weight_decay
    phase = Phase(
        name=full_name,
        config=phase_config,
        replicate=replicate,
        seeds=seeds(config)[replicate],
        parent=parent,
        parent_step=parent_step,
        num_steps=num_steps(phase_config.tokens, config),
        batch_size=config.training.batch_size,
        max_seq_len=config.data.max_seq_len,
        stages=phase_stages(name, phase_config, config),
        start_ordinals=start_ordinals,
        earlier_draws=earlier_draws,
        parent_learning_rate=parent.learning_rate(parent_step - 1) if parent else None,
        weight_decay=config.optimizer.weight_decay if decay is None else decay,
    )
    with _prefixed(f"config.phases.{name}."):
        _ = phase.rates
    with _prefixed(f"config.phases.{name}.mixture: "):
        phase.rows_per_source()
    phases[full_name] = phase
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


def _add(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
