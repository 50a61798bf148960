"""The clock of a new conductor: what goes on is moved to it, so no difference of clocks counts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codepretrain.launch.events import seconds
from codepretrain.launch.states import JobState


def moved_to_term(state: JobState, event: Mapping[str, Any]) -> JobState:
    """Returns the state with its times by the clock of a new conductor.

    Since the newest event only the seconds are known to have passed in which the new conductor saw
    that the lease of the one before was not renewed. What that one did after its last event is less
    than the minute between two measurements, and is not counted. Terms of before this was recorded
    change nothing.

    Args:
      event: "term".
    """
    silent_s = event.get("silent_s")
    if silent_s is None or not state.time_s:
        return state
    by_s = seconds(event["time"]) - state.time_s - silent_s
    live = {
        name: replace(
            of,
            started_s=of.started_s + by_s,
            measured_s=of.measured_s + by_s,
            first_step_s=None if of.first_step_s is None else of.first_step_s + by_s,
            closing=of.closing and replace(of.closing, since_s=of.closing.since_s + by_s),
        )
        for name, of in state.live.items()
    }
    stages = {name: replace(of, ended_s=of.ended_s + by_s) for name, of in state.stages.items()}
    return replace(state, live=live, stages=stages, begun_s=state.begun_s + by_s)
