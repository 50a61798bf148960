"""Changes of one attempt or one stage in the state of a job."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codepretrain.launch.states import STAGE_TRANSITIONS, JobState, Live


class IllegalEvent(ValueError):
    """An event that cannot follow those before it."""


def live_of(state: JobState, event: Mapping[str, Any]) -> Live:
    """Returns the attempt of an event."""
    live = state.live.get(event["attempt"])
    if live is None:
        raise IllegalEvent(f"is of {event['attempt']}, which does not run")
    return live


def with_live(state: JobState, live: Live, **changes: Any) -> JobState:
    """Returns the job with changes of an attempt."""
    return replace(state, live={**state.live, live.attempt.id: replace(live, **changes)})


def with_step(state: JobState, event: Mapping[str, Any]) -> JobState:
    """Returns the job with the step of an event, if it is the newest."""
    live, step = live_of(state, event), event.get("step")
    is_newer = step is not None and (live.step is None or step > live.step)
    return with_live(state, live, step=step) if is_newer else state


def with_stage(state: JobState, name: str, **changes: Any) -> JobState:
    """Returns the job with changes of a stage."""
    return replace(state, stages={**state.stages, name: replace(state.stage(name), **changes)})


def moved(state: JobState, name: str, new: str, now_s: float) -> JobState:
    """Returns the job with a stage in a new state."""
    old = state.stage(name).state
    if new not in STAGE_TRANSITIONS[old]:
        raise IllegalEvent(f"takes {name} from {old} to {new}")
    stage = replace(state.stage(name), state=new, since_s=now_s)
    return replace(state, stages={**state.stages, name: stage})
