"""The state of the job as a whole: requests, the budget, and how a job ends."""

from collections.abc import Mapping

from codepretrain.launch import budget, scheduler
from codepretrain.launch.draft import Draft
from codepretrain.launch.ending import close_all
from codepretrain.launch.observe import reports_of
from codepretrain.launch.restart import resume_command
from codepretrain.launch.states import JOB_TRANSITIONS

_PATHS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "STARTING": {"PROVISIONING": ("STARTING",), "RESTARTING": ("STARTING",)},
    "RUNNING": {
        "PROVISIONING": ("STARTING", "RUNNING"),
        "STARTING": ("RUNNING",),
        "RESTARTING": ("STARTING", "RUNNING"),
    },
    "RESTARTING": {
        "PROVISIONING": ("STARTING", "RESTARTING"),
        "STARTING": ("RESTARTING",),
        "RUNNING": ("RESTARTING",),
    },
}


def take_requests(draft: Draft) -> None:
    """Takes the requests of commands, in order. A resume of a job that is stopping waits."""
    for request in draft.view.requests:
        if request.number <= draft.state.request:
            continue
        if request.kind == "resume" and draft.state.stopping and not draft.state.is_over:
            return
        draft.add(
            "request",
            request=request.kind,
            number_of_request=request.number,
            max_chip_hours=request.max_chip_hours,
            max_price=request.max_price,
            retrain_lost=request.retrain_lost,
        )
        if draft.state.is_resumed:
            draft.add("state", state="QUEUED", why="resumed by a command")


def begin(draft: Draft) -> None:
    """Takes a job to PROVISIONING."""
    if draft.state.is_resumed:
        draft.add("state", state="QUEUED", why="resumed by a command")
    if draft.state.conducted == "PLANNED":
        draft.add("state", state="QUEUED", why="submitted")
    if draft.state.conducted == "QUEUED":
        draft.add("state", state="PROVISIONING", why="waiting for hosts")


def stop_if_asked(draft: Draft) -> None:
    """Ends all gangs on request, or when a cap of the budget is reached."""
    if draft.state.stopping is None:
        reports = [r for v in draft.state.live.values() for r in reports_of(draft, v).values()]
        save_s = max((r.save_s for r in reports if r.save_s is not None), default=0.0)
        exhausted = budget.exhaustion(draft.job, draft.state, draft.now_s, save_s)
        if exhausted is not None and draft.state.live:
            draft.add("stopping", why="budget", message=exhausted)
    if draft.state.stopping == "stop":
        close_all(draft, "stop", "stopped by a request")
    elif draft.state.stopping == "budget":
        close_all(draft, "budget", "stopped at a cap of the budget")


def conclude(draft: Draft) -> None:
    """Moves the job into the state that follows from its stages."""
    if not draft.state.live:
        found = _ended(draft)
        if found is not None:
            draft.add("state", state=found[0], why=found[1])
            return
    target = _target(draft)
    for state in _PATHS.get(target or "", {}).get(draft.state.conducted, ()):
        assert state in JOB_TRANSITIONS[draft.state.conducted], state
        draft.add("state", state=state, why=_reason(draft, state))


def _ended(draft: Draft) -> tuple[str, str] | None:
    """Returns how a job without a gang has ended and why, None if it goes on."""
    job, state = draft.job, draft.state
    left = [stage.name for stage in job.stages if state.stage(stage.name).state != "DONE"]
    if not left:
        return "DONE", "all stages are done"
    if state.stopping == "stop":
        return "STOPPED", _to_go_on(draft, "stopped by a request")
    failed = [name for name in left if state.stage(name).state == "FAILED"]
    open_stages = scheduler.contenders(job, state)
    if not open_stages and failed and state.stopping is None:
        named = "; ".join(f"{name}: {state.stage(name).why}" for name in failed)
        return "FAILED", _to_go_on(draft, named, "To change the study, submit it again. ")
    refusals = [budget.refusal(job, state, stage, draft.now_s) for stage in open_stages]
    if state.stopping == "budget" or (refusals and all(refusals)):
        exhausted = budget.exhaustion(job, state, draft.now_s, 0.0)
        why = exhausted or next((r for r in refusals if r), "a cap of the budget is reached")
        return "OVER_BUDGET", _to_go_on(draft, why)
    return None


def _to_go_on(draft: Draft, why: str, other: str = "") -> str:
    done = [s.name for s in draft.job.stages if draft.state.stage(s.name).state == "DONE"]
    kept = f"; done and kept: {', '.join(done)}" if done else ""
    return f"{why}{kept}. {other}To resume, run: {resume_command(draft.job)}"


def _target(draft: Draft) -> str | None:
    lives = draft.state.live.values()
    if draft.state.stopping is not None:
        return None
    if any(v.is_running and v.closing is None for v in lives):
        return "RUNNING"
    if any(v.closing is None for v in lives):
        return "STARTING"
    # After a resume stages have no cause of their last end: nothing has been started again yet.
    is_ended = any(
        stage.state == "ENDING" or (stage.state == "RESTARTING" and stage.last_cause is not None)
        for stage in draft.state.stages.values()
    )
    return "RESTARTING" if is_ended else None


def _reason(draft: Draft, state: str) -> str:
    """Returns why a job is in a state, in words."""
    lives = draft.state.live.values()
    if state == "RESTARTING":
        closing = [v.closing.message for v in lives if v.closing is not None and v.closing.message]
        ended = [s.why for s in draft.state.stages.values() if s.state == "RESTARTING" and s.why]
        return next(iter([*closing, *ended]), "a worker has ended")
    return ", ".join(v.attempt.id for v in lives if v.closing is None)
