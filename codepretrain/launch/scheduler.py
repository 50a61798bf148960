"""Which stages start now, and on which slices.

Stages whose parents are done are *contenders*. Several contenders get a slice each, the one with
the longest remaining path first; a single one gets every slice that is not in use. Evaluations that
have a slice of their own come last, and get one (evaluation.py). A stage waits
for its slices; after `watchdog.init_s` it starts with those there are, at least `min_slices`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codepretrain.launch import budget, elastic, evaluation
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.states import STARTABLE, JobState


@dataclass(frozen=True, kw_only=True)
class Start:
    """A gang to start. wanted: slices that it would get if all were available."""

    stage: Stage
    slices: tuple[int, ...]
    wanted: int


def contenders(job: Job, state: JobState) -> list[Stage]:
    """Returns the stages that could run and do not, the longest remaining path first."""
    found = [
        stage
        for stage in job.stages
        if state.stage(stage.name).state in STARTABLE
        and all(state.stage(parent).state == "DONE" for parent in stage.parents)
        and (not stage.is_evaluation or evaluation.is_useful(job, state))
    ]
    if len(found) < 2:
        return found
    lengths = path_lengths(job, state)
    return sorted(found, key=lambda stage: (stage.is_evaluation, -lengths[stage.name]))


def path_lengths(job: Job, state: JobState) -> Mapping[str, float]:
    """Returns the remaining work of each stage and of the longest path of its descendants.

    Work is in expected chip-hours, or in tokens if a phase has none; other stages have 0.
    """
    in_hours = all(s.expected_chip_hours is not None for s in job.stages if s.phase is not None)
    lengths: dict[str, float] = {}

    def length(stage: Stage) -> float:
        if stage.name not in lengths:
            after = [length(job.by_name[child]) for child in job.children[stage.name]]
            work = (stage.expected_chip_hours or 0.0) if in_hours else float(stage.tokens)
            if stage.phase is None:
                work = 0.0
            own = work * budget.remaining_share(stage, state)
            is_done = state.stage(stage.name).state == "DONE"
            lengths[stage.name] = (0.0 if is_done else own) + max(after, default=0.0)
        return lengths[stage.name]

    for stage in job.stages:
        length(stage)
    return lengths


def starts(
    job: Job,
    state: JobState,
    *,
    ready: Sequence[Stage],
    available: Sequence[int],
    waited_s: Mapping[str, float],
) -> list[Start]:
    """Returns the gangs to start.

    Args:
      ready: the contenders that may start now: their backoff is over, and the budget allows them.
      available: slices that are not in use and all of whose hosts can take a worker, in order.
      waited_s: for how long each of them has been waiting for slices.
    """
    # A contender in its backoff will want a slice as well.
    num_wanting = sum(not stage.is_evaluation for stage in contenders(job, state))
    fingerprints = {job.by_name[v.attempt.stage].fingerprint for v in state.live.values()} - {None}
    free, num_used = list(available), num_slices_in_use(state)
    found = []
    for stage in ready:
        if stage.fingerprint in fingerprints:
            continue
        wanted = _wanted(job, state, stage, num_wanting=num_wanting, num_used=num_used)
        number = _number(job, stage, wanted=wanted, free=len(free), waited_s=waited_s[stage.name])
        if number:
            found.append(Start(stage=stage, slices=tuple(free[:number]), wanted=wanted))
            free, num_used = free[number:], num_used + number
            fingerprints |= {stage.fingerprint} - {None}
    return found


def num_slices_in_use(state: JobState) -> int:
    """Returns how many slices have a gang."""
    return sum(live.num_slices for live in state.live.values())


def num_to_add(job: Job, state: JobState) -> int:
    """Returns how many more slices a gang may have beside the others and the evaluations."""
    return max_slices(job) - num_slices_in_use(state) - evaluation.num_reserved(job, state)


def max_slices(job: Job) -> int:
    """Returns how many slices may be in use at a time."""
    return min(job.launch.budget.max_slices or job.num_slices, job.num_slices)


def _wanted(job: Job, state: JobState, stage: Stage, *, num_wanting: int, num_used: int) -> int:
    left = max_slices(job) - num_used
    if stage.is_single or stage.is_evaluation:
        return min(left, 1)
    reserved = evaluation.num_reserved(job, state) if max_slices(job) > 1 else 0
    if num_used or elastic.feasible_slices(job, stage, left - reserved):
        left -= reserved
    if num_wanting == 1:
        return left
    return next((n for n in range(1, left + 1) if elastic.num_microbatches(job, stage, n)), 0)


def impossible(job: Job, stage: Stage) -> str | None:
    """Returns why a stage can never start, None if it can."""
    if stage.phase is None or elastic.feasible_slices(job, stage, max_slices(job)):
        return None
    devices, most = job.hosts_per_slice * job.chips_per_host, max_slices(job)
    fits = devices * stage.num_microbatches
    slices = "1 slice" if most == 1 else f"1 to {most} slices"
    return (
        f"config.training.batch_size = {stage.batch_size:,} rows do not divide over {slices} of "
        f"{devices:,} devices with config.execution.num_microbatches = {stage.num_microbatches}: "
        f"use a multiple of {fits:,} rows, a mesh that fits a slice, or a smaller machine"
    )


def _number(job: Job, stage: Stage, *, wanted: int, free: int, waited_s: float) -> int:
    """Returns the slices to start on now, 0 to wait."""
    if stage.is_single or stage.is_evaluation:
        return 1 if wanted > 0 and free > 0 else 0
    best = elastic.feasible_slices(job, stage, wanted)
    if best and free >= best:
        return best
    if waited_s < job.launch.watchdog.init_s:
        return 0
    number = elastic.feasible_slices(job, stage, min(free, wanted))
    return number if number >= min(job.launch.machine.min_slices, wanted) else 0
