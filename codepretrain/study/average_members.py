"""Which checkpoints an average is over, and their weights: a pure function of the config."""

from collections.abc import Sequence
from fractions import Fraction

from codepretrain.config.schema import AverageConfig, CheckpointConfig
from codepretrain.config.values import MAX_AVERAGED
from codepretrain.errors import UserError
from codepretrain.study.phase import Origin, Phase


def members_of(
    average: AverageConfig, phases: Sequence[Phase], checkpoint: CheckpointConfig
) -> tuple[Origin, ...]:
    """Returns the checkpoints of an average in the order in which they are added, with weights.

    Members of a soup are in the config's order, checkpoints of one member in the order of steps.
    Weights are exact shares of the given ones, rounded once, so that 1:1:1 and 2:2:2 are the same.

    Args:
      phases: the members.

    Raises:
      UserError: the member of `last_k` or `ema_decay` keeps too few checkpoints, or too many.
    """
    if average.last_k is None and average.ema_decay is None:
        shares = _shares(average.weights or (1.0,) * len(phases))
        ends = zip(phases, shares, strict=True)
        return tuple(Origin(phase=phase, step=phase.num_steps, weight=w) for phase, w in ends)
    (phase,) = phases
    steps = _kept_steps(phase, checkpoint, average)
    decay = 1.0 if average.ema_decay is None else average.ema_decay
    shares = _shares([decay**age for age in reversed(range(len(steps)))])
    of_steps = zip(steps, shares, strict=True)
    return tuple(Origin(phase=phase, step=step, weight=w) for step, w in of_steps if w > 0)


def _kept_steps(phase: Phase, checkpoint: CheckpointConfig, average: AverageConfig) -> list[int]:
    """Returns the steps of a phase that are averaged, of those that are kept for its own sake."""
    interval, end = checkpoint.permanent_interval_steps, phase.num_steps
    regular = range(0) if interval is None else range(interval, end, interval)
    field = "last_k" if average.last_k is not None else "ema_decay"
    needed, found = average.last_k or 2, len(regular) + 1
    every = "" if interval is None else f", every {interval:,} steps and at its end"
    if found < needed:
        raise UserError(
            f"{field}: expected at least {needed:,} permanent checkpoints of {phase.name!r}, which "
            f"keeps {found:,} in its {end:,} steps{every}: set "
            f"config.checkpoint.permanent_interval_steps to at most {max(end // needed, 1):,}"
        )
    if average.last_k is None and found > MAX_AVERAGED:
        raise UserError(
            f"{field}: expected at most {MAX_AVERAGED:,} permanent checkpoints of {phase.name!r}, "
            f"which keeps {found:,}: raise config.checkpoint.permanent_interval_steps"
        )
    return [*regular[len(regular) + 1 - (average.last_k or found) :], end]


def _shares(weights: Sequence[float]) -> list[float]:
    exact = [Fraction(weight) for weight in weights]
    return [float(weight / sum(exact)) for weight in exact]
