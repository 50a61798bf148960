"""The state of a job as a fold of its events.

`fold` trusts nothing: an event that cannot follow those before it is damage, and is named.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from codepretrain.errors import UserError
from codepretrain.launch.events import Event, seconds, term_of
from codepretrain.launch.new_term import moved_to_term
from codepretrain.launch.record_files import to_record
from codepretrain.launch.records import Attempt
from codepretrain.launch.state_changes import (
    IllegalEvent,
    live_of,
    moved,
    with_live,
    with_stage,
    with_step,
)
from codepretrain.launch.states import (
    BEFORE_START,
    JOB_TRANSITIONS,
    OVER,
    Closing,
    JobState,
    Live,
)

FAILURES = ("crash", "out_of_memory", "hang", "lost_host")
NEVER_RETRIED = ("damage", "divergence", "user_error")
_AT_A_STEP = ("crash", "out_of_memory", "hang")  # a lost host says nothing of the step


def fold_events(events: Iterable[Event]) -> JobState:
    """Returns the state after all events, which are in the order of `read_events`."""
    state = JobState()
    for event in events:
        state = fold(state, event)
    return state


def fold(state: JobState, event: Mapping[str, Any]) -> JobState:
    """Returns the state after one event; an event of an unknown kind changes nothing.

    Raises:
      UserError: the event cannot follow those before it, or lacks a field.
    """
    step = _STEPS.get(event["event"])
    is_conducted = _is_conducted(event)
    if is_conducted:
        state = replace(state, num_events=state.num_events + 1)
    try:
        state = state if step is None else step(state, event)
        return replace(state, time_s=seconds(event["time"])) if is_conducted else state
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = str(error) if isinstance(error, IllegalEvent | UserError) else f"lacks {error}"
        writer, number = event.get("writer", "conductor"), event.get("number", "?")
        raise UserError(
            f"events/{writer}.jsonl is damaged: event {number} ({event['event']}) {problem}; "
            "restore the file"
        ) from error


def _is_conducted(event: Mapping[str, Any]) -> bool:
    """Returns whether a conductor wrote an event, or is about to."""
    return term_of(event.get("writer", "conductor-000000")) is not None


def _state(state: JobState, event: Mapping[str, Any]) -> JobState:
    new, now_s = event["state"], seconds(event["time"])
    if new not in JOB_TRANSITIONS:
        raise IllegalEvent(f"names no state: {new!r}")
    shown = replace(state, state=new, why=event.get("why", ""), since_s=now_s)
    if not _is_conducted(event):
        # A keeper does not wait for the conductor: what comes late counts for nothing. Of a job
        # that is over it counts if the keeper had read that, whatever its clock says.
        has_read = event.get("seen", state.num_events) >= state.over_at
        is_early = state.conducted in BEFORE_START or (state.conducted in OVER and has_read)
        is_next = new in JOB_TRANSITIONS[state.state]
        return shown if new in BEFORE_START and is_early and is_next else state
    if new not in JOB_TRANSITIONS[state.conducted]:
        raise IllegalEvent(f"goes from {state.conducted} to {new}")
    begun_s = now_s if new == "PROVISIONING" else state.begun_s
    over_at = state.num_events if new in OVER else state.over_at
    return replace(shown, conducted=new, is_resumed=False, begun_s=begun_s, over_at=over_at)


def _request(state: JobState, event: Mapping[str, Any]) -> JobState:
    state = replace(state, request=event["number_of_request"])
    if event["request"] == "stop":
        return replace(state, stopping="stop") if state.goes_on else state
    if state.conducted == "DONE":
        return state
    now_s = seconds(event["time"])
    stages = {}
    for name, stage in state.stages.items():
        fresh = replace(stage, failures=0, same_step_failures=0, preemptions=0)
        if stage.state in ("STOPPED", "FAILED"):
            fresh = replace(fresh, state="RESTARTING", since_s=now_s)
        if state.is_over and fresh.state == "RESTARTING":
            fresh = replace(fresh, why="", ended_s=now_s, last_cause=None)
        if event.get("retrain_lost") and name not in {v.attempt.stage for v in state.live.values()}:
            fresh = replace(fresh, saved_step=None, resumed_step=None)
        stages[name] = fresh
    return replace(
        state,
        stages=stages,
        stopping=None if state.is_over else state.stopping,
        is_resumed=state.is_over,
        max_chip_hours=event.get("max_chip_hours") or state.max_chip_hours,
        max_price=event.get("max_price") or state.max_price,
        retrains_lost=bool(event.get("retrain_lost")) or state.retrains_lost,
    )


def _stopping(state: JobState, event: Mapping[str, Any]) -> JobState:
    return replace(state, stopping=event["why"])


def _missing(state: JobState, event: Mapping[str, Any]) -> JobState:
    return replace(state, missing=tuple(event["hosts"]))


def _attempt(state: JobState, event: Mapping[str, Any]) -> JobState:
    attempt = to_record(Attempt, event["record"], path="record")
    stage = state.stage(attempt.stage)
    if attempt.number <= stage.attempts or attempt.id != f"{attempt.stage}-{attempt.number}":
        raise IllegalEvent(f"starts {attempt.id} after attempt {stage.attempts} of {attempt.stage}")
    now_s = seconds(event["time"])
    live = Live(
        attempt=attempt,
        boots={int(host): boot for host, boot in event["boots"].items()},
        before={int(host): last for host, last in event["before"].items()},
        num_slices=event["num_slices"],
        started_s=now_s,
        measured_s=now_s,
    )
    state = replace(state, live={**state.live, attempt.id: live}, missing=())
    state = with_stage(state, attempt.stage, attempts=attempt.number)
    return moved(state, attempt.stage, "STARTING", now_s)


def _running(state: JobState, event: Mapping[str, Any]) -> JobState:
    live = live_of(state, event)
    state = with_live(state, live, is_running=True)
    return moved(state, live.attempt.stage, "RUNNING", seconds(event["time"]))


def _resumed(state: JobState, event: Mapping[str, Any]) -> JobState:
    live, step = live_of(state, event), event["step"]
    state = with_live(state, live, resumed_step=step)
    stage = state.stage(live.attempt.stage)
    if step <= max(stage.saved_step or 0, stage.resumed_step or 0):
        return state
    # From a checkpoint that nobody reported: a local one, or one whose report was lost.
    return with_stage(state, live.attempt.stage, resumed_step=step, failures=0)


def _first_step(state: JobState, event: Mapping[str, Any]) -> JobState:
    first_s = seconds(event["time"])
    live = live_of(state, event)
    return with_step(with_live(state, live, has_stepped=True, first_step_s=first_s), event)


def _evaluated(state: JobState, event: Mapping[str, Any]) -> JobState:
    live = live_of(state, event)
    return with_stage(with_live(state, live, has_evaluated=True), live.attempt.stage, failures=0)


def _saved(state: JobState, event: Mapping[str, Any]) -> JobState:
    name = live_of(state, event).attempt.stage
    state = with_step(state, event)
    before = state.stage(name).saved_step
    if before is not None and event["step"] <= before:
        return state
    return with_stage(state, name, saved_step=event["step"], failures=0)


def _warning(state: JobState, event: Mapping[str, Any]) -> JobState:
    if event.get("kind") != "save" or event.get("attempt") not in state.live:
        return state
    return with_live(state, live_of(state, event), has_save_warning=True)


def _lost_host(state: JobState, event: Mapping[str, Any]) -> JobState:
    live = live_of(state, event)
    return with_live(state, live, lost=live.lost | {event["host"]})


def _closing(state: JobState, event: Mapping[str, Any]) -> JobState:
    live = live_of(state, event)
    now_s = seconds(event["time"])
    closing = Closing(
        how=event["how"],
        reason=event["reason"],
        cause=event["cause"],
        host=event["host"],
        message=event["message"],
        since_s=now_s,
        ended=frozenset(event["ended"]),
    )
    state = with_live(state, live, closing=closing)
    name = live.attempt.stage
    return state if state.stage(name).state == "ENDING" else moved(state, name, "ENDING", now_s)


def _chip_hours(state: JobState, event: Mapping[str, Any]) -> JobState:
    live = live_of(state, event)
    seconds_ = live.seconds + event["seconds"]
    state = with_live(state, live, seconds=seconds_, measured_s=seconds(event["time"]))
    state = with_step(state, event)
    stage = state.stage(live.attempt.stage)
    return with_stage(
        state,
        live.attempt.stage,
        seconds=stage.seconds + event["seconds"],
        chip_seconds=stage.chip_seconds + event["chip_seconds"],
    )


def _end(state: JobState, event: Mapping[str, Any]) -> JobState:
    live = live_of(state, event)
    name, cause, step = live.attempt.stage, event["cause"], event["step"]
    state = replace(state, live={k: v for k, v in state.live.items() if k != live.attempt.id})
    stage = replace(
        state.stage(name),
        last_cause=cause,
        last_host=event["host"],
        last_message=event["message"],
        last_step=step,
        why=event["message"],
        ended_s=seconds(event["time"]),
    )
    if cause in FAILURES:
        is_same = cause in _AT_A_STEP and step is not None and step == stage.last_failed_step
        stage = replace(
            stage,
            failures=stage.failures + 1,
            same_step_failures=stage.same_step_failures + 1 if is_same else 1,
            last_failed_step=step if cause in _AT_A_STEP else None,
        )
    reason = live.closing.reason if live.closing is not None else None
    stage = replace(stage, is_resized=cause == "stopped" and reason == "resize")
    if cause == "preemption":
        stage = replace(stage, preemptions=stage.preemptions + 1)
    state = replace(state, stages={**state.stages, name: stage})
    new = {"done": "DONE", **dict.fromkeys(NEVER_RETRIED, "FAILED")}.get(cause, "RESTARTING")
    if cause == "stopped" and reason in ("stop", "budget"):
        new = "STOPPED"
    return moved(state, name, new, seconds(event["time"]))


def _stage_failed(state: JobState, event: Mapping[str, Any]) -> JobState:
    state = moved(state, event["stage"], "FAILED", seconds(event["time"]))
    return with_stage(state, event["stage"], why=event["why"])


_STEPS: Mapping[str, Callable[[JobState, Mapping[str, Any]], JobState]] = {
    "term": moved_to_term,
    "state": _state,
    "request": _request,
    "stopping": _stopping,
    "missing": _missing,
    "attempt": _attempt,
    "running": _running,
    "resumed": _resumed,
    "first_step": _first_step,
    "evaluated": _evaluated,
    "saved": _saved,
    "warning": _warning,
    "lost_host": _lost_host,
    "closing": _closing,
    "chip_hours": _chip_hours,
    "end": _end,
    "stage_failed": _stage_failed,
}
