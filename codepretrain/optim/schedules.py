"""The learning rate of every step of a phase, in Python floats. Standard library only.

With N steps, W warm-up steps and R = N - 1 - W steps after the peak is reached:

    rate
    peak |        ____________________
         |      /                      \\
         |    /                          \\     `shape`
         |  /                              \\
    start|/                                  \\_ end
         +-------|---------------------|-------|--> s
         0       W                N-1-decay   N-1          decay = round(decay_fraction · R)

So cosine and linear are `decay_fraction=1`, warmup-stable-decay is `decay_fraction < 1`, a cooldown
is `shape="linear"` without warm-up from the parent's rate, and re-warming is a warm-up whose start
is the parent's rate.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from codepretrain.config.schema import ScheduleConfig
from codepretrain.errors import UserError

# What is left of the peak, 1 → 0, when `progress` (0 → 1) of the decay is done.
PRESETS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "constant": lambda progress: 1.0,
        "linear": lambda progress: 1.0 - progress,
        "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
        "one_minus_sqrt": lambda progress: 1.0 - math.sqrt(progress),
    }
)


def learning_rate(
    schedule: ScheduleConfig, step: int, *, num_steps: int, parent_learning_rate: float | None
) -> float:
    """Returns the learning rate of update `step` = 0 … `num_steps` - 1 of a phase.

    The last step has the end rate exactly; without warm-up the first has the peak exactly. A phase
    that ends where its warm-up does (R = 0) has nothing left to decay and ends at the peak.

    Args:
      parent_learning_rate: the rate of the last update that the parent made before the branch;
        None for a phase without a parent.

    Raises:
      UserError: the schedule does not fit the phase (see `resolve_rates`).

    Source: cosine, Loshchilov & Hutter 2016 (arXiv 1608.03983), eq. 5 with one cycle;
    1 - sqrt, Hägele et al. 2024 (arXiv 2405.18392), eq. 2.
    """
    assert 0 <= step < num_steps, (step, num_steps)
    start, peak, end = resolve_rates(
        schedule, num_steps=num_steps, parent_learning_rate=parent_learning_rate
    )
    if step < schedule.warmup_steps:
        return start + (peak - start) * (step / schedule.warmup_steps)
    last = num_steps - 1
    decay_steps = round(schedule.decay_fraction * (last - schedule.warmup_steps))
    if step <= last - decay_steps:
        return peak
    left = PRESETS[schedule.shape](1.0 - (last - step) / decay_steps)
    return peak * left + end * (1.0 - left)


def resolve_rates(
    schedule: ScheduleConfig, *, num_steps: int, parent_learning_rate: float | None
) -> tuple[float, float, float]:
    """Returns (start, peak, end) with every rate that is left to the parent filled in.

    Raises:
      UserError: an unknown shape; a rate that must come from a parent that is not there; no end
        rate for a shape that decays, or another one than the peak for one that does not; a warm-up
        that does not fit in the phase; a decay fraction outside [0, 1]; a rate that is negative.
    """
    if schedule.shape not in PRESETS:
        raise UserError(
            f"schedule.shape is {schedule.shape!r}; expected one of {', '.join(PRESETS)}"
        )
    if not 0 <= schedule.warmup_steps < num_steps:
        raise UserError(
            f"schedule.warmup_steps is {schedule.warmup_steps}, but the phase has {num_steps} "
            f"steps; expected 0 to {num_steps - 1}"
        )
    if not 0.0 <= schedule.decay_fraction <= 1.0:
        raise UserError(
            f"schedule.decay_fraction is {schedule.decay_fraction}; expected a number from 0 to 1"
        )
    peak = _given_or_parents("peak_learning_rate", schedule, parent_learning_rate)
    start = (
        _given_or_parents("start_learning_rate", schedule, parent_learning_rate)
        if schedule.warmup_steps
        else peak
    )
    end = _end_rate(schedule, peak)
    for name, rate in (("start", start), ("peak", peak), ("end", end)):
        if not (math.isfinite(rate) and rate >= 0.0):
            raise UserError(f"schedule.{name}_learning_rate is {rate}; expected a number ≥ 0")
    return start, peak, end


def _given_or_parents(field: str, schedule: ScheduleConfig, parents: float | None) -> float:
    given = getattr(schedule, field)
    rate = parents if given is None else given
    if rate is None:
        raise UserError(
            f"schedule.{field} is None, which takes the parent's rate, but there is no parent; "
            f"give schedule.{field} a number"
        )
    return rate


def _end_rate(schedule: ScheduleConfig, peak: float) -> float:
    end = schedule.end_learning_rate
    if schedule.shape == "constant":
        if end is not None and end != peak:
            raise UserError(
                f"schedule.end_learning_rate is {end}, but a constant schedule ends at its peak, "
                f"{peak}; leave it None or choose a shape that decays"
            )
        return peak
    if schedule.decay_fraction == 0.0 and end is None:
        return peak
    if end is None:
        raise UserError(
            f"schedule.end_learning_rate is missing; shape {schedule.shape!r} decays to it"
        )
    return end
