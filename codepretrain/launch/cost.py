"""What a job has cost so far, and for what: chip-hours and price, from its events.

    productive    making steps that are kept, preparing, reporting
    repeated      making steps that were lost, so that another attempt makes them again
    overhead      start, restore, compile, stall (no progress until that was noticed), end (saving)

Chip-hours are those of the chips of gangs, from the start of an attempt to its end, as the budget
counts them. A machine also costs while it waits between two attempts: that is not included.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from codepretrain.launch.events import Event
from codepretrain.launch.fold import fold_events
from codepretrain.launch.history import AttemptHistory, attempts_of
from codepretrain.launch.job import Job
from codepretrain.launch.states import JobState

KINDS = ("productive", "repeated", "start", "restore", "compile", "stall", "end")
_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Chip-hours by `KINDS`. expected: None if not known. price: None without a price per hour."""

    chip_hours: float
    price: float | None
    by_kind: Mapping[str, float]
    expected_chip_hours: float | None = None
    expected_price: float | None = None

    @property
    def productive_share(self) -> float | None:
        return self.by_kind["productive"] / self.chip_hours if self.chip_hours else None


@dataclass(frozen=True, kw_only=True)
class AttemptCost:
    """An attempt. cause: None if it has not ended."""

    attempt: str
    stage: str
    cause: str | None
    steps: int
    lost_steps: int
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """A job. price_per_chip_hour: None if the study has none."""

    job: str
    state: str
    price_per_chip_hour: float | None
    total: Cost
    stages: Mapping[str, Cost]
    attempts: tuple[AttemptCost, ...] = field(default=())


def cost_of(job: Job, events: Iterable[Event]) -> JobCost:
    """Returns what a job has cost up to its newest event.

    Raises:
      UserError: an event is damaged.
    """
    events = list(events)
    return cost_of_attempts(job, fold_events(events), attempts_of(events).values())


def cost_of_attempts(job: Job, state: JobState, found: Iterable[AttemptHistory]) -> JobCost:
    """Returns what a job with these attempts has cost."""
    attempts = tuple(_attempt_cost(job, known) for known in found)
    stages = {
        stage.name: _sum(
            job,
            [a.cost for a in attempts if a.stage == stage.name],
            stage.expected_chip_hours,
        )
        for stage in job.stages
    }
    expected = [stage.expected_chip_hours for stage in job.stages if stage.phase is not None]
    known = [hours for hours in expected if hours is not None]
    return JobCost(
        job=job.name,
        state=state.state,
        price_per_chip_hour=job.price_per_chip_hour,
        total=_sum(job, [a.cost for a in attempts], sum(known) if known else None),
        stages=stages,
        attempts=attempts,
    )


def price_of(job: Job, chip_hours: float | None) -> float | None:
    """Returns the price of chip-hours, None if it is not known."""
    if chip_hours is None or job.price_per_chip_hour is None:
        return None
    return chip_hours * job.price_per_chip_hour


def _attempt_cost(job: Job, known: AttemptHistory) -> AttemptCost:
    hours = known.chip_seconds / _HOUR
    return AttemptCost(
        attempt=known.id,
        stage=known.stage,
        cause=known.cause,
        steps=known.num_steps,
        lost_steps=min(known.lost_steps, known.num_steps),
        cost=Cost(
            chip_hours=hours,
            price=price_of(job, hours),
            by_kind=_by_kind(known, has_steps=job.by_name[known.stage].phase is not None),
        ),
    )


def _by_kind(known: AttemptHistory, *, has_steps: bool) -> dict[str, float]:
    """Returns an attempt's chip-hours by kind: in proportion to its seconds.

    The seconds that no conductor measured (all were gone) are in neither.
    """
    parts = known.parts()
    total = sum(parts.values())
    scale = known.chip_seconds / total / _HOUR if total else 0.0
    if not has_steps:  # what it did counts if it was done
        working = parts["restore"] + parts["compile"] + parts["train"] + parts["end"]
        working += parts["start"] if known.running_s is None else 0.0
        kept = known.cause in ("done", None)
        found = {"productive": working * kept, "repeated": working * (not kept)}
        found |= {"start": 0.0 if known.running_s is None else parts["start"]}
        found |= {"restore": 0.0, "compile": 0.0, "stall": parts["stall"], "end": 0.0}
    else:
        share = min(1.0, known.lost_steps / known.num_steps) if known.num_steps else 0.0
        repeated = parts["train"] * share
        found = {"productive": parts["train"] - repeated, "repeated": repeated}
        found |= {name: parts[name] for name in KINDS[2:]}
    return {name: found[name] * scale for name in KINDS}


def _sum(job: Job, costs: list[Cost], expected: float | None) -> Cost:
    hours = sum(cost.chip_hours for cost in costs)
    return Cost(
        chip_hours=hours,
        price=price_of(job, hours),
        by_kind={kind: sum(cost.by_kind[kind] for cost in costs) for kind in KINDS},
        expected_chip_hours=expected,
        expected_price=price_of(job, expected),
    )
