"""Whether a stage that ended is started again, and when."""

import shlex
from dataclasses import dataclass

from codepretrain.launch.fold import FAILURES
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.machine import RestartConfig
from codepretrain.launch.states import StageState


@dataclass(frozen=True)
class Retry:
    """Start the stage again, `after_s` seconds after its last end."""

    after_s: float


@dataclass(frozen=True)
class GiveUp:
    """The stage has failed."""

    why: str


def verdict(stage: StageState, config: RestartConfig, *, show_batch: str | None) -> Retry | GiveUp:
    """Returns what follows the last end of a stage that is RESTARTING.

    Args:
      show_batch: the command that shows the batch of the last step, if there is one.
    """
    if stage.preemptions >= config.max_preemptions and stage.last_cause == "preemption":
        return GiveUp(
            f"{stage.preemptions:,} preemptions (restart.max_preemptions); the last: "
            f"{stage.last_message}"
        )
    if stage.last_cause not in FAILURES:
        return Retry(0.0)
    if stage.same_step_failures >= config.same_step_limit and stage.last_failed_step is not None:
        look = f"; look at its batch: {show_batch}" if show_batch else ""
        return GiveUp(
            f"failed {stage.same_step_failures} times in a row at step {stage.last_failed_step:,} "
            f"(restart.same_step_limit); the last: {stage.last_message}{look}"
        )
    if stage.failures >= config.max_failures:
        return GiveUp(
            f"{stage.failures} failures in a row without a new checkpoint (restart.max_failures); "
            f"the last: {stage.last_message}"
        )
    exponent = min(stage.failures - 1, 60)
    return Retry(min(config.backoff_s * 2.0**exponent, config.max_backoff_s))


def show_batch_command(job: Job, stage: Stage, step: int | None) -> str | None:
    """Returns the command that shows the batch of a step, None if the step has none."""
    if stage.phase is None or step is None or step >= (stage.num_steps or step + 1):
        return None
    command = ["codepretrain", "show-batch", "--config", job.config, "--workdir", job.workdir]
    return shlex.join([*command, "--phase", stage.phase, "--step", str(step)])


def resume_command(job: Job) -> str:
    """Returns the command that goes on with a job that is over."""
    command = ["codepretrain", "launch", "resume", job.name, "--workdir", job.workdir]
    return shlex.join(command)
