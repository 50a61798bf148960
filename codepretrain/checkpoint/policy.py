"""Decides which checkpoints are written and which are kept.

Permanent checkpoints are saved at fixed steps and kept. Temporary ones are saved by time and before
an interruption; the newest `num_temporary` of them are kept, so one damaged checkpoint does not
set the run back to its last permanent one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from codepretrain.config.schema import CheckpointConfig


@dataclass(frozen=True)
class CheckpointPolicy:
    """The policy of one run."""

    config: CheckpointConfig
    permanent_steps: frozenset[int] = frozenset()

    @classmethod
    def of_phase(
        cls, config: CheckpointConfig, *, num_steps: int, branch_steps: Collection[int]
    ) -> "CheckpointPolicy":
        """Returns the policy of a phase.

        Args:
          num_steps: of the phase.
          branch_steps: steps whose checkpoints other phases or the phase's results need.
        """
        steps = frozenset(branch_steps)
        if config.permanent_interval_steps is not None:
            interval = config.permanent_interval_steps
            steps |= frozenset(range(interval, num_steps, interval))
        return cls(config, steps)

    def keeping(self, step: int) -> "CheckpointPolicy":
        """Returns this policy with one more permanent step."""
        return replace(self, permanent_steps=self.permanent_steps | {step})

    def is_permanent(self, step: int) -> bool:
        """Returns whether the checkpoint of this step is kept."""
        return step in self.permanent_steps

    def is_due_by_time(self, seconds_since_save: float) -> bool:
        """Returns whether a temporary checkpoint is due."""
        return seconds_since_save >= self.config.temporary_interval_s

    def superseded(self, permanent: Mapping[int, bool], *, saved_step: int) -> list[int]:
        """Returns the steps to delete once the checkpoint of `saved_step` is committed.

        A run that rewrites an early checkpoint keeps the later ones.

        Args:
          permanent: whether each committed checkpoint is permanent, by step.
        """
        temporary = sorted(step for step, stays in permanent.items() if not stays)
        older = [step for step in temporary if step <= saved_step]
        return older[: max(len(older) - self.config.num_temporary, 0)]
