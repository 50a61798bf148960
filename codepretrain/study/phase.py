"""The two kinds of phases, ready to be planned and made: training, and averages of checkpoints.

Both have a name, the states that they start from (`origins`), and an end checkpoint at `num_steps`.

                     ┌── anneal_a ──┐
    trunk ───────────┤              ├── soup     origins: (anneal_a, its end), (anneal_b, its end)
                     └── anneal_b ──┘

**Data of an average.** It reads nothing, so its tokens are 0. It stands where its furthest member
stands: `tokens_before` is the largest of its members', and so is every cursor and every number of
rows drawn, source by source. So a phase that continues from an average starts a source behind the
rows that any member's cursor has passed (the members of a study's replicate read a source in one
order), and counts its rows as often as the member that has drawn most. Cursors that were restarted
are compared from the newest one back: where members restarted different numbers of times, the sum
is too large, never too small.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, cast

from codepretrain.config.schema import PhaseConfig, ReplicateConfig, ScheduleConfig
from codepretrain.optim import schedules
from codepretrain.optim.schedules import Rates
from codepretrain.stream.mixture import MixtureStage, OrderPrefix, apportion, order_prefix


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The state of a phase after `step` of its steps; `weight`: its share of an average."""

    phase: "Phase"
    step: int
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class _Phase(ABC):
    """What both kinds have.

    name: with the replicate's number, except for the first (`study/replicates.py`).
    """

    name: str
    config: PhaseConfig
    replicate: int
    seeds: ReplicateConfig
    batch_size: int
    max_seq_len: int

    @property
    @abstractmethod
    def origins(self) -> tuple[Origin, ...]:
        """The states that the phase starts from, or that it averages."""

    @property
    def path(self) -> "tuple[Phase, ...]":
        """The phases from random parameters to this one, each after all that it starts from."""
        before = {p.name: p for origin in self.origins for p in origin.phase.path}
        return (*before.values(), cast("Phase", self))

    @property
    def roots(self) -> "tuple[Phase, ...]":
        """The phases of the path that start from no other phase."""
        return tuple(phase for phase in self.path if not phase.origins)


@dataclass(frozen=True, kw_only=True)
class TrainingPhase(_Phase):
    """One stretch of training.

    parent_step: the parent's step count at the branch point.
    start_ordinals: where each source's cursor is when the phase starts; 0 for a source that is
    absent.
    earlier_draws: rows that each cursor of the path had drawn when a phase restarted it, one entry
    per restart.
    """

    schedule: ScheduleConfig
    parent: "Phase | None"
    parent_step: int
    num_steps: int
    stages: tuple[MixtureStage, ...]
    start_ordinals: Mapping[str, int]
    earlier_draws: tuple[Mapping[str, int], ...]
    parent_learning_rate: float | None
    weight_decay: float

    @property
    def origins(self) -> tuple[Origin, ...]:
        return (Origin(phase=self.parent, step=self.parent_step),) if self.parent else ()

    @property
    def num_rows(self) -> int:
        return self.num_steps * self.batch_size

    @property
    def tokens(self) -> int:
        return self.num_rows * self.max_seq_len

    @property
    def requested_tokens(self) -> int:
        """Tokens in the config; `tokens` is the nearest whole number of steps."""
        assert self.config.tokens is not None
        return self.config.tokens

    @property
    def tokens_before(self) -> int:
        """Tokens that the path from random parameters has seen when this phase starts."""
        return self.parent.tokens_at(self.parent_step) if self.parent else 0

    def tokens_at(self, step: int) -> int:
        """Returns the tokens that the path has seen after `step` steps of this phase."""
        return self.tokens_before + step * self.batch_size * self.max_seq_len

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of update `step`, 0 ≤ step < num_steps."""
        return self.rates.at(step)

    @cached_property
    def rates(self) -> Rates:
        """The phase's schedule with every rate resolved."""
        return schedules.resolve(
            self.schedule,
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
        return _by_source([*self.earlier_draws, self.ordinals_at(step)])

    @property
    def path_rows_before(self) -> dict[str, int]:
        """Rows of each source that the path draws before this phase, restarted cursors included."""
        total: dict[str, int] = dict(self.start_ordinals)
        for cursor in self.earlier_draws:
            total = _add(total, cursor)
        return total


@dataclass(frozen=True, kw_only=True)
class AveragePhase(_Phase):
    """An average of checkpoints of other phases, its members: one step that reads no data."""

    members: tuple[Origin, ...]
    num_steps: int = 1
    tokens: int = 0
    requested_tokens: int = 0

    @property
    def origins(self) -> tuple[Origin, ...]:
        return self.members

    @property
    def tokens_before(self) -> int:
        """Tokens that the member which has seen most has seen."""
        return max(member.phase.tokens_at(member.step) for member in self.members)

    def tokens_at(self, step: int) -> int:
        """Returns `tokens_before`: an average adds nothing."""
        return self.tokens_before

    def rows_per_source(self) -> dict[str, int]:
        return {}

    def ordinals_at(self, step: int) -> dict[str, int]:
        """Returns the largest cursor of any member, source by source."""
        return _largest(member.phase.ordinals_at(member.step) for member in self.members)

    @property
    def earlier_draws(self) -> tuple[Mapping[str, int], ...]:
        """The largest draws of any member before a restart, compared from the newest cursor."""
        newest_first = [reversed(member.phase.earlier_draws) for member in self.members]
        together = itertools.zip_longest(*newest_first, fillvalue={})
        return tuple(_largest(cursors) for cursors in reversed([*together]))

    def draws_at(self, step: int) -> dict[str, tuple[int, ...]]:
        """Returns the rows that each cursor has drawn of each source, the largest of any member."""
        return _by_source([*self.earlier_draws, self.ordinals_at(step)])


Phase: TypeAlias = TrainingPhase | AveragePhase


def _by_source(cursors: Sequence[Mapping[str, int]]) -> dict[str, tuple[int, ...]]:
    sources = sorted({source for cursor in cursors for source in cursor})
    return {source: tuple(cursor.get(source, 0) for cursor in cursors) for source in sources}


def _add(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}


def _largest(cursors: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for cursor in cursors:
        for source, rows in cursor.items():
            found[source] = max(found.get(source, 0), rows)
    return found
