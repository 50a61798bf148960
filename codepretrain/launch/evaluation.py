"""The stage that evaluates on a slice of its own, beside the phases that train.

It follows the permanent checkpoints of all phases of the job, and ends when they are trained and
evaluated. Of several slices it has one. It starts with or after training, never before: on a single
slice, when all phases are trained.
"""

from codepretrain.launch import budget
from codepretrain.launch.draft import Draft
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.states import JobState, Live

_WAITING = ("WAITING", "RESTARTING")


def is_useful(job: Job, state: JobState) -> bool:
    """Returns whether there is something to follow: a phase trains, or all phases are trained."""
    phases = [stage.name for stage in job.stages if stage.phase is not None]
    is_training = any(v.attempt.stage in phases for v in state.live.values())
    return is_training or all(state.stage(name).state == "DONE" for name in phases)


def num_reserved(job: Job, state: JobState) -> int:
    """Returns how many of several slices phases leave to evaluations that do not run, 0 or 1."""
    waiting = [s for s in job.stages if s.is_evaluation and state.stage(s.name).state in _WAITING]
    return min(1, len(waiting))


def end_evaluations(draft: Draft, *, starved: bool, open_stages: list[Stage]) -> None:
    """Ends evaluations that keep their slice from training, or that wait for nothing.

    Args:
      starved: a phase has waited for slices for as long as it may.
      open_stages: those that could start.
    """
    job, state = draft.job, draft.state
    if is_useful(job, state):
        return
    refusals = [
        budget.refusal(job, state, stage, draft.now_s)
        for stage in open_stages
        if stage.phase is not None
    ]
    for live in list(state.live.values()):
        if live.closing is not None or not job.by_name[live.attempt.stage].is_evaluation:
            continue
        if all(refusals):
            _end(draft, live, "stop", "no phase goes on training")
        elif starved:
            _end(draft, live, "resize", "its slice is needed for training")


def _end(draft: Draft, live: Live, reason: str, message: str) -> None:
    draft.close(live, how="end", reason=reason, message=message)
