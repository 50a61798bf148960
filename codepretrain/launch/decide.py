"""What the conductor decides, as a pure function.

    events ── fold ──→ state ──┐
    job.json ──────────────────┼── decide ──→ events, orders
    host records ── view ──────┘

Every decision is an event, and the orders follow from the state. So a conductor that takes over
reads the events and gives the same orders. Nothing depends on what was decided at the same moment:
after a kill between any two events, the next decision adds what is missing.
"""

from dataclasses import dataclass

from codepretrain.launch.draft import Draft
from codepretrain.launch.ending import end_gangs, measure
from codepretrain.launch.events import Event
from codepretrain.launch.faults import find_faults
from codepretrain.launch.job import Job
from codepretrain.launch.observe import observe
from codepretrain.launch.outcome import begin, conclude, stop_if_asked, take_requests
from codepretrain.launch.records import Orders
from codepretrain.launch.sightings import View
from codepretrain.launch.starting import give_up, grow, make_room, start_gangs
from codepretrain.launch.states import JobState


@dataclass(frozen=True, kw_only=True)
class Decision:
    """state: with the events. The term of the orders is 0: the conductor sets its own."""

    state: JobState
    events: tuple[Event, ...]
    orders: Orders


def decide(state: JobState, job: Job, view: View, now_s: float) -> Decision:
    """Returns what follows from the state of a job and from what its hosts report.

    Args:
      now_s: UTC in seconds, by a clock that never goes back within the events of a job.
    """
    draft = Draft(state, job, view, now_s)
    take_requests(draft)
    if draft.state.goes_on:
        begin(draft)
        observe(draft)
        find_faults(draft)
        stop_if_asked(draft)
        end_gangs(draft)
        if draft.state.stopping is None:
            give_up(draft)
            start_gangs(draft)
            make_room(draft)
            grow(draft)
        measure(draft)
        conclude(draft)
    return Decision(state=draft.state, events=tuple(draft.events), orders=orders(draft))


def orders(draft: Draft) -> Orders:
    """Returns the orders that follow from a state and from workers that should not run any more."""
    lives = draft.state.live.values()
    how = {v.attempt.id: v.closing.how if v.closing else "wait" for v in lives}
    stale = {
        seen.record.attempt
        for seen in draft.view.hosts.values()
        if seen.record.is_running and seen.record.attempt is not None
    } - how.keys()
    return Orders(
        term=0,
        running=tuple(v.attempt for v in lives if how[v.attempt.id] == "wait"),
        ending=tuple(name for name, what in how.items() if what == "end"),
        killing=(*(name for name, what in how.items() if what == "kill"), *sorted(stale)),
        is_over=draft.state.is_over,
    )
