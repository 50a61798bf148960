"""What a job has cost, what it has promised to spend, and whether a stage may start.

Chip-hours are those of the chips of gangs, from the start of an attempt to its end. The expected
chip-hours of a stage are reserved before it starts, less the share of its steps that is saved.
"""

from codepretrain.launch.job import Job, Stage
from codepretrain.launch.states import JobState, Live

_HOUR = 3600.0
MAX_GAP_S = 180.0  # between two measurements; more was the absence of any conductor


def unmeasured_s(live: Live, now_s: float) -> float:
    """Returns the seconds of an attempt that no event holds yet."""
    return min(max(now_s - live.measured_s, 0.0), MAX_GAP_S)


def num_chips(job: Job, live: Live) -> int:
    """Returns the chips that a gang uses."""
    return len(live.attempt.hosts) * job.chips_per_host


def spent_hours(job: Job, state: JobState, now_s: float) -> float:
    """Returns the chip-hours up to now."""
    running = sum(num_chips(job, v) * unmeasured_s(v, now_s) for v in state.live.values())
    return (state.chip_seconds + running) / _HOUR


def cap_hours(job: Job, state: JobState) -> tuple[float, str] | None:
    """Returns the lowest cap in chip-hours and its name; None if there is none."""
    config = job.launch.budget
    hours = state.max_chip_hours or config.max_chip_hours
    price = state.max_price or config.max_price
    caps = [] if hours is None else [(hours, f"budget.max_chip_hours = {hours:g}")]
    if price is not None and job.price_per_chip_hour:
        caps.append((price / job.price_per_chip_hour, f"budget.max_price = {price:g}"))
    return min(caps, default=None)


def remaining_share(stage: Stage, state: JobState) -> float:
    """Returns which part of a stage's steps is not saved yet."""
    saved = state.stage(stage.name).saved_step
    if not stage.num_steps or saved is None:
        return 1.0
    return max(0.0, 1.0 - saved / stage.num_steps)


def expected_hours(stage: Stage, state: JobState) -> float:
    """Returns the chip-hours that a stage is expected to take from its newest checkpoint on."""
    return (stage.expected_chip_hours or 0.0) * remaining_share(stage, state)


def refusal(
    job: Job, state: JobState, stage: Stage, now_s: float, *, promised: float = 0.0
) -> str | None:
    """Returns why a stage may not start, None if the budget allows it.

    promised: chip-hours of stages that start at the same moment.
    """
    cap = cap_hours(job, state)
    if cap is None:
        return None
    reserved = sum(expected_hours(job.by_name[v.attempt.stage], state) for v in state.live.values())
    left = cap[0] - spent_hours(job, state, now_s) - reserved - promised
    needed = expected_hours(stage, state)
    if left > 0 and needed <= left:
        return None
    return (
        f"{stage.name} is expected to take {needed:.3g} chip-hours, and {max(left, 0):.3g} of "
        f"{cap[1]} are left"
    )


def exhaustion(job: Job, state: JobState, now_s: float, save_s: float) -> str | None:
    """Returns that the cap is reached, None if it is not.

    save_s: how long the running gangs take to save: they are ended that much before the cap.
    """
    cap = cap_hours(job, state)
    if cap is None:
        return None
    spent = spent_hours(job, state, now_s)
    saving = sum(num_chips(job, v) for v in state.live.values()) * save_s / _HOUR
    if spent + saving < cap[0]:
        return None
    return f"{spent:.4g} chip-hours are spent: {cap[1]} is reached"
