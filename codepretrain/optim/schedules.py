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

Cosine and linear schedules have `decay_fraction=1`; warmup-stable-decay has `decay_fraction < 1`. A
cooldown is `shape="linear"` without warm-up from the parent's rate. Re-warming is a warm-up that
starts at the parent's rate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from codepretrain.config.schema import ScheduleConfig
from codepretrain.errors import UserError

# The share of the way from the peak to the end rate that is left, 1 → 0, as progress goes 0 → 1.
SHAPES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "constant": lambda progress: 1.0,
        "linear": lambda progress: 1.0 - progress,
        "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
        "one_minus_sqrt": lambda progress: 1.0 - math.sqrt(progress),
    }
)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """A schedule resolved for one phase: the numbers in the figure above."""

    shape: str
    start: float
    peak: float
    end: float
    num_steps: int
    warmup_steps: int
    decay_steps: int

    def at(self, step: int) -> float:
        """Returns the learning rate of update `step`, 0 ≤ step < num_steps.

        The last step has exactly the end rate. Without warm-up, the first has exactly the peak.

        >>> cosine = ScheduleConfig(shape="cosine", peak_learning_rate=1.0, end_learning_rate=0.0)
        >>> rates = resolve(cosine, num_steps=5)
        >>> [round(rates.at(step), 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]

        Source: cosine, Loshchilov & Hutter 2016 (arXiv 1608.03983), eq. 5 with one cycle;
        1 - sqrt, Hägele et al. 2024 (arXiv 2405.18392), eq. 2.
        """
        assert 0 <= step < self.num_steps, (step, self.num_steps)
        if step < self.warmup_steps:
            return self.start + (self.peak - self.start) * (step / self.warmup_steps)
        steps_left = self.num_steps - 1 - step
        if steps_left >= self.decay_steps:
            return self.peak
        left = SHAPES[self.shape](1.0 - steps_left / self.decay_steps)
        return self.peak * left + self.end * (1.0 - left)

    def prefix(self, num_steps: int) -> list[dict[str, Any]]:
        """Returns everything that determines the rates of the first `num_steps` updates.

        Two schedules with equal prefixes have the same rates there, even if they differ later: a
        constant schedule that is extended keeps the prefix, a cosine that is extended does not.

        >>> rates = resolve(ScheduleConfig(shape="constant", peak_learning_rate=0.5), num_steps=9)
        >>> rates.prefix(4)
        [{'shape': 'constant', 'rate': 0.5, 'num_steps': 4}]
        """
        assert 0 <= num_steps <= self.num_steps, (num_steps, self.num_steps)
        num_warmup = min(num_steps, self.warmup_steps)
        num_decay = max(0, num_steps - (self.num_steps - self.decay_steps))
        num_constant = num_steps - num_warmup - num_decay
        if self.start == self.peak:  # a warm-up that changes nothing
            num_constant, num_warmup = num_constant + num_warmup, 0
        warmup = {"shape": "linear", "from": self.start, "to": self.peak, "over": self.warmup_steps}
        decay = {"shape": self.shape, "from": self.peak, "to": self.end, "over": self.decay_steps}
        stretches: list[tuple[dict[str, Any], int]] = [
            (warmup, num_warmup),
            ({"shape": "constant", "rate": self.peak}, num_constant),
            (decay, num_decay),
        ]
        return [{**stretch, "num_steps": steps} for stretch, steps in stretches if steps]


def resolve(
    schedule: ScheduleConfig, *, num_steps: int, parent_learning_rate: float | None = None
) -> Rates:
    """Returns the schedule for a phase of `num_steps`, with the parent's rate filled in.

    Warmup-stable-decay over 10 steps: 2 to warm up, then a decay over half of what remains.

    >>> schedule = ScheduleConfig(
    ...     shape="linear",
    ...     warmup_steps=2,
    ...     peak_learning_rate=1.0,
    ...     end_learning_rate=0.0,
    ...     decay_fraction=0.5,
    ... )
    >>> rates = resolve(schedule, num_steps=10)
    >>> [rates.at(step) for step in range(10)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]

    Args:
      parent_learning_rate: the rate of the parent's last update before the branch point; None for
        a phase without a parent.

    Raises:
      UserError: the shape is unknown; a rate is taken from the parent, but there is none; a shape
        that decays has no end rate, or a constant one has an end rate that is not its peak; the
        warm-up is longer than the phase; the decay fraction is outside [0, 1] or rounds to no
        step; a rate is negative or not finite.
    """
    if schedule.shape not in SHAPES:
        raise UserError(
            f"schedule.shape is {schedule.shape!r}; expected one of {', '.join(SHAPES)}"
        )
    if not 0 <= schedule.warmup_steps < num_steps:
        raise UserError(
            f"schedule.warmup_steps is {schedule.warmup_steps:,}, but the phase has {num_steps:,} "
            f"steps; expected 0 to {num_steps - 1:,}"
        )
    if not 0.0 <= schedule.decay_fraction <= 1.0:
        raise UserError(
            f"schedule.decay_fraction is {schedule.decay_fraction}; expected a number from 0 to 1"
        )
    peak = _own_or_parents("peak_learning_rate", schedule, parent_learning_rate)
    start = (
        _own_or_parents("start_learning_rate", schedule, parent_learning_rate)
        if schedule.warmup_steps
        else peak
    )
    end = _end_rate(schedule, peak)
    for name, rate in (("start", start), ("peak", peak), ("end", end)):
        if not (math.isfinite(rate) and rate >= 0.0):
            raise UserError(f"schedule.{name}_learning_rate is {rate}; expected a number ≥ 0")
    return Rates(
        shape=schedule.shape,
        start=start,
        peak=peak,
        end=end,
        num_steps=num_steps,
        warmup_steps=schedule.warmup_steps,
        decay_steps=_decay_steps(schedule, num_steps, decays=end != peak),
    )


def _own_or_parents(field: str, schedule: ScheduleConfig, parents: float | None) -> float:
    own = getattr(schedule, field)
    rate = parents if own is None else own
    if rate is None:
        raise UserError(
            f"schedule.{field} is None, which takes the parent's rate, but there is no parent; "
            f"set schedule.{field} to a number"
        )
    return rate


def _end_rate(schedule: ScheduleConfig, peak: float) -> float:
    end = schedule.end_learning_rate
    if schedule.shape == "constant":
        if end is not None and end != peak:
            raise UserError(
                f"schedule.end_learning_rate is {end}, but a constant schedule ends at its peak, "
                f"{peak}; set it to None or choose a shape that decays"
            )
        return peak
    if end is None:
        raise UserError(
            f"schedule.end_learning_rate is missing; shape {schedule.shape!r} decays to it"
        )
    return end


def _decay_steps(schedule: ScheduleConfig, num_steps: int, *, decays: bool) -> int:
    """Returns the steps of the decay. One that rounds to none would never reach its end rate."""
    if not decays:
        return 0
    remaining = num_steps - 1 - schedule.warmup_steps
    if remaining == 0:
        raise UserError(
            f"schedule.warmup_steps is {schedule.warmup_steps:,} of {num_steps:,} steps: no step "
            "is left after the warm-up to decay in; lengthen the phase, or set "
            "schedule.end_learning_rate to the peak"
        )
    decay_steps = round(schedule.decay_fraction * remaining)
    if decay_steps == 0:
        raise UserError(
            f"schedule.decay_fraction is {schedule.decay_fraction:g}: "
            f"{schedule.decay_fraction:g} of the {remaining:,} steps after the warm-up rounds to 0 "
            "steps, so the rate would stay at its peak; expected at least "
            f"{1.0 / remaining:.3g} (one step), or shape 'constant'"
        )
    return decay_steps
