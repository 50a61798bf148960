"""The state after events; an event that cannot follow is named."""

from dataclasses import replace
from typing import Any

import pytest

from codepretrain.config.parse import to_dict
from codepretrain.errors import UserError
from codepretrain.launch.events import Event, utc
from codepretrain.launch.fold import fold_events
from codepretrain.launch.records import Attempt


def numbered(*events: dict[str, Any], writer: str = "conductor-000001") -> list[Event]:
    return [
        {"time": utc(100.0 + n), **event, "writer": writer, "number": n}
        for n, event in enumerate(events, start=1)
    ]


def state(name: str, **fields: Any) -> dict[str, Any]:
    return {"event": "state", "state": name, "why": "", **fields}


def attempt(number: int) -> dict[str, Any]:
    record = Attempt(
        id=f"train.a-{number}",
        stage="train.a",
        number=number,
        hosts=(0, 1),
        coordinator="h:1",
        expected_step=None,
        arguments=("train",),
    )
    return {
        "event": "attempt",
        "attempt": record.id,
        "record": to_dict(record),
        "boots": {"0": "x", "1": "y"},
        "before": {"0": None, "1": "prepare-1"},
        "num_slices": 1,
        "wanted_slices": 1,
    }


def end(number: int, cause: str, step: int | None = None) -> dict[str, Any]:
    fields = {"host": 1, "message": "m", "step": step, "seconds": 1.0, "lost_steps": 0}
    return {"event": "end", "attempt": f"train.a-{number}", "cause": cause, **fields}


def saved(number: int, step: int) -> dict[str, Any]:
    return {"event": "saved", "attempt": f"train.a-{number}", "step": step}


START = (state("QUEUED"), state("PROVISIONING"))


def test_failures_in_a_row_end_with_a_checkpoint() -> None:
    tries = [
        *(attempt(1), end(1, "crash", 5)),
        *(attempt(2), end(2, "preemption", 9)),
        *(attempt(3), end(3, "hang", 5)),
    ]
    found = fold_events(numbered(*START, *tries)).stage("train.a")
    assert (found.failures, found.same_step_failures, found.preemptions) == (2, 2, 1)
    assert (found.state, found.attempts, found.last_cause) == ("RESTARTING", 3, "hang")
    more = [attempt(4), saved(4, 4), saved(4, 2), end(4, "crash", 5)]
    found = fold_events(numbered(*START, *tries, *more)).stage("train.a")
    assert (found.failures, found.same_step_failures, found.saved_step) == (1, 3, 4)
    more += [attempt(5), end(5, "lost_host", 5)]
    found = fold_events(numbered(*START, *tries, *more)).stage("train.a")
    assert (found.failures, found.same_step_failures, found.last_failed_step) == (2, 1, None)


def test_a_resume_from_a_local_checkpoint_is_one_from_a_new_checkpoint() -> None:
    """Once for each step: a job that fails again and again after it makes no progress."""

    def resumed(number: int, step: int) -> dict[str, Any]:
        return {"event": "resumed", "attempt": f"train.a-{number}", "step": step, "expected": 4}

    tries = [attempt(1), saved(1, 4), end(1, "crash", 9)]
    tries += [attempt(2), resumed(2, 4), end(2, "crash", 9)]
    assert fold_events(numbered(*START, *tries)).stage("train.a").failures == 2
    tries += [attempt(3), resumed(3, 8), end(3, "crash", 9)]
    assert fold_events(numbered(*START, *tries)).stage("train.a").failures == 1
    tries += [attempt(4), resumed(4, 8), end(4, "crash", 9)]
    found = fold_events(numbered(*START, *tries)).stage("train.a")
    assert (found.failures, found.saved_step, found.resumed_step) == (2, 4, 8)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("done", "DONE"),
        ("user_error", "FAILED"),
        ("divergence", "FAILED"),
        ("damage", "FAILED"),
        ("preemption", "RESTARTING"),
        ("out_of_memory", "RESTARTING"),
        ("stopped", "RESTARTING"),  # to go on with other slices
    ],
)
def test_what_follows_an_end(cause: str, expected: str) -> None:
    found = fold_events(numbered(*START, attempt(1), end(1, cause)))
    assert found.stage("train.a").state == expected
    assert found.live == {}


def test_chip_hours_add_up() -> None:
    def spent(seconds: float) -> dict[str, Any]:
        chips = {"seconds": seconds, "chip_seconds": 8 * seconds}
        return {"event": "chip_hours", "attempt": "train.a-1", "stage": "train.a", **chips}

    found = fold_events(numbered(*START, attempt(1), spent(60), spent(2.5), end(1, "done")))
    assert found.stage("train.a").seconds == 62.5
    assert found.chip_seconds == 500.0


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([state("RUNNING")], r"event 1 \(state\) goes from PLANNED to RUNNING"),
        ([state("QUEUED"), state("QUEUED")], r"event 2 \(state\) goes from QUEUED to QUEUED"),
        ([state("ASLEEP")], r"event 1 \(state\) names no state: 'ASLEEP'"),
        ([attempt(1), attempt(1)], r"event 2 \(attempt\) starts train.a-1 after attempt 1"),
        ([attempt(1), attempt(2)], r"event 2 \(attempt\) takes train.a from STARTING to STARTING"),
        ([end(1, "done")], r"event 1 \(end\) is of train.a-1, which does not run"),
        ([attempt(1), saved(2, 1)], r"event 2 \(saved\) is of train.a-2, which does not run"),
        ([{"event": "state"}], r"event 1 \(state\) lacks 'state'"),
    ],
)
def test_what_cannot_follow_is_named(events: list, message: str) -> None:
    with pytest.raises(UserError, match=f"events/conductor-000001.jsonl is damaged: {message}"):
        fold_events(numbered(*events))


def test_events_of_unknown_kinds_change_nothing() -> None:
    found = fold_events(numbered({"event": "weather"}))
    assert found == replace(fold_events([]), num_events=1, time_s=101.0)


@pytest.mark.parametrize(("seen", "expected"), [(2, "FAILED"), (3, "QUEUED"), (None, "QUEUED")])
def test_a_keeper_with_its_clock_ahead_hides_no_end(seen: int | None, expected: str) -> None:
    """It wrote QUEUED before the job failed, or, having read that, because of a resume."""
    conducted = numbered(*START, state("FAILED"))
    fields = {} if seen is None else {"seen": seen}
    late = numbered(state("QUEUED", time=utc(9999.0), **fields), writer="keeper-a")
    assert fold_events([*conducted, *late]).state == expected


def term(number: int, at_s: float, silent_s: float) -> Event:
    writer = f"conductor-{number:06d}"
    fields = {"term": number, "silent_s": silent_s, "writer": writer, "number": 1, "seen": {}}
    return {"event": "term", "time": utc(at_s), **fields}


@pytest.mark.parametrize("at_s", [110.0, 3700.0])
def test_what_passed_between_two_terms_is_what_was_seen_to_pass(at_s: float) -> None:
    """The clock of the second conductor is right, or an hour ahead."""
    begun = fold_events(numbered(*START, attempt(1), {"event": "weather"}))
    moved = fold_events([*numbered(*START, attempt(1), {"event": "weather"}), term(2, at_s, 4.0)])
    [before], [live] = begun.live.values(), moved.live.values()
    assert (before.started_s, before.measured_s) == (103.0, 103.0)
    # A second up to the last event, and four in which the lease was not renewed.
    assert at_s - live.measured_s == at_s - live.started_s == 5.0
    ended = numbered(*START, attempt(1), end(1, "crash", 5), {"event": "weather"})
    stage = fold_events([*ended, term(2, at_s, 4.0)]).stage("train.a")
    assert at_s - stage.ended_s == 5.0
    assert stage.since_s == 104.0, "as the first conductor had it, for the reader of the status"


def test_an_evaluation_ends_a_row_of_failures() -> None:
    tries = [*(attempt(1), end(1, "crash")), *(attempt(2), end(2, "crash"))]
    found = fold_events(numbered(*START, *tries))
    assert found.stage("train.a").failures == 2
    more = [attempt(3), {"event": "evaluated", "attempt": "train.a-3", "number": 1}]
    assert fold_events(numbered(*START, *tries, *more)).stage("train.a").failures == 0


def test_a_keeper_shows_states_before_there_is_a_conductor() -> None:
    keeper = numbered(state("QUEUED"), state("PROVISIONING"), writer="keeper-a")
    assert fold_events(keeper).state == "PROVISIONING"
    conducted = numbered(*START, state("STARTING"))
    found = fold_events([*keeper[:1], *conducted, *keeper[1:]])
    assert (found.state, found.conducted) == ("STARTING", "STARTING")
    assert fold_events([*keeper, *conducted]).state == "STARTING"


def test_a_resume_clears_failures_and_waits_for_its_state() -> None:
    def request(number: int, kind: str, **fields: Any) -> dict[str, Any]:
        return {"event": "request", "request": kind, "number_of_request": number, **fields}

    tried = [attempt(1), saved(1, 6), end(1, "damage", 9)]
    over = [*START, *tried, state("FAILED")]
    found = fold_events(numbered(*over, request(1, "resume", retrain_lost=True)))
    assert (found.state, found.is_resumed, found.request) == ("FAILED", True, 1)
    assert found.stage("train.a").state == "RESTARTING"
    assert found.stage("train.a").saved_step is None
    again = [*over, request(1, "resume", max_chip_hours=7.5), state("QUEUED")]
    found = fold_events(numbered(*again))
    assert (found.state, found.is_resumed, found.max_chip_hours) == ("QUEUED", False, 7.5)
    assert found.stage("train.a").saved_step == 6


def test_a_stop_after_a_resume_counts_though_the_conductor_died_between_them() -> None:
    """It had recorded the request, and not yet that the job is QUEUED again."""
    asked = [
        {"event": "request", "request": kind, "number_of_request": number}
        for number, kind in enumerate(("resume", "stop"), start=1)
    ]
    found = fold_events(numbered(state("STOPPED"), *asked, state("QUEUED")))
    assert (found.state, found.stopping, found.request) == ("QUEUED", "stop", 2)
