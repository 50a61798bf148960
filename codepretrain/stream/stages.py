"""A phase's budget in steps, and its stages of constant mixture: pure functions of the config."""

from codepretrain.config.schema import PhaseConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.stream.mixture import MixtureStage


def num_steps(tokens: int, config: StudyConfig) -> int:
    """Returns the nearest whole number of steps, halves up.

    A step has `batch_size` rows of `max_seq_len` tokens.
    """
    step_tokens = config.training.batch_size * config.data.max_seq_len
    return (2 * tokens + step_tokens) // (2 * step_tokens)


def phase_stages(name: str, phase: PhaseConfig, config: StudyConfig) -> tuple[MixtureStage, ...]:
    """Returns the stages of a training phase in order.

    A mixture changes between steps, never within one.

    Args:
      name: the phase's name, for messages.

    Raises:
      UserError: two changes of mixture, or a change and the end, are in the same step.
    """
    assert phase.tokens is not None, f"{name} is an average, which reads nothing"
    starts = [0, *(num_steps(change.at_tokens, config) for change in phase.mixture_changes)]
    weights = [phase.mixture, *(change.weights for change in phase.mixture_changes)]
    ends = [*starts[1:], num_steps(phase.tokens, config)]
    for start, end in zip(starts, ends, strict=True):
        if start >= end:
            raise UserError(
                f"config.phases.{name}.mixture_changes: expected at least one step between two "
                f"changes, found none between step {start:,} and {end:,}; one step is "
                f"{config.training.batch_size * config.data.max_seq_len:,} tokens"
            )
    batch_size = config.training.batch_size
    return tuple(
        MixtureStage(
            num_rows=(end - start) * batch_size, weights={s: w for s, w in ws.items() if w > 0}
        )
        for start, end, ws in zip(starts, ends, weights, strict=True)
    )
