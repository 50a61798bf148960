"""Evaluations on a slice of their own."""

from dataclasses import replace

import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.launch.events import Event
from codepretrain.launch.job import Job, Request
from codepretrain.launch.machine import BudgetConfig
from codepretrain.launch.states import JobState
from tests.launch.random_faults import WATCHDOG, evaluations, job, phase, single
from tests.launch.simulator import World
from tests.launch.test_decide import causes, check, of_kind, run
from tests.launch.test_scheduler import chosen, state

PHASES = (phase("a"), phase("b", "train.a"))
STAGES = (*PHASES, evaluations(), single("report", "train.a", "train.b", "evaluate"))


def test_they_have_one_of_several_slices() -> None:
    plan = job(*STAGES, slices=4)
    assert chosen(plan, state(), [0, 1, 2, 3]) == [("train.a", (0, 1, 2), 3)]
    assert chosen(plan, state(("train.a", 3)), [3]) == [("evaluate", (3,), 1)]
    known = state(("evaluate", 1), train_a="DONE")
    assert chosen(plan, known, [0, 1, 2]) == [("train.b", (0, 1, 2), 3)]
    over = state(("evaluate", 1), train_a="DONE", train_b="FAILED")
    assert chosen(plan, over, [0, 1, 2]) == []


def test_one_slice_is_theirs_beside_several_phases() -> None:
    plan = job(phase("a"), phase("b"), evaluations(), slices=2)
    assert chosen(plan, state(), [0, 1]) == [("train.a", (0,), 1)]
    assert chosen(plan, state(("train.a", 1)), [1]) == [("evaluate", (1,), 1)]
    known = state(("evaluate", 1), train_a="DONE")
    assert chosen(plan, known, [0]) == [("train.b", (0,), 1)]


def test_on_one_slice_they_come_after_all_phases() -> None:
    plan = job(*STAGES)
    assert chosen(plan, state(), [0]) == [("train.a", (0,), 1)]
    backoff = state(train_a="RESTARTING")
    assert [c for c in chosen(plan, backoff, [0]) if c[0] == "evaluate"] == []
    assert chosen(plan, state(train_a="DONE"), [0]) == [("train.b", (0,), 1)]
    assert chosen(plan, state(train_a="DONE", train_b="DONE"), [0]) == [("evaluate", (0,), 1)]


def test_a_batch_that_needs_all_slices_gets_them() -> None:
    plan = job(phase("a", batch_size=4), evaluations(), slices=2, hosts=2)
    odd = replace(plan, stages=(replace(plan.stages[0], mesh=MeshConfig(tensor=4)), plan.stages[1]))
    assert chosen(odd, state(), [0, 1]) == [("train.a", (0, 1), 2)]


def finished(plan: Job, **changes: object) -> tuple[World, JobState, list[Event]]:
    world = World(plan, seed=1, faults={})
    for name, value in changes.items():
        setattr(world, name, value)
    found, events = run(world)
    check(world, found, events)
    return world, found, events


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_job_with_evaluations_is_done(slices: int) -> None:
    _, found, events = finished(job(*STAGES, slices=slices))
    assert found.state == "DONE"
    attempts = [event["attempt"] for event in of_kind(events, "attempt")]
    alone = ["train.a-1", "train.b-1", "evaluate-1", "report-1"]
    beside = ["train.a-1", "evaluate-1", "train.b-1", "report-1"]
    assert attempts == (alone if slices == 1 else beside)
    assert set(causes(events)) == {"done"}


def test_evaluations_end_when_no_phase_goes_on() -> None:
    plan = job(*STAGES, slices=2)
    world, found, events = finished(plan, bad={"train.b": "user_error"})
    assert (found.state, found.stage("evaluate").state) == ("FAILED", "STOPPED")
    ends = {e["attempt"]: (e["cause"], e["message"]) for e in of_kind(events, "end")}
    assert ends["evaluate-1"] == ("stopped", "no phase goes on training")
    world.bad = {}
    world.requests.append(Request(number=1, kind="resume"))
    found, _ = run(world)
    assert found.state == "DONE"


def test_evaluations_end_when_the_budget_allows_no_phase() -> None:
    phases = (PHASES[0], replace(PHASES[1], expected_chip_hours=1000.0))
    budget = BudgetConfig(max_chip_hours=500.0)
    _, found, _ = finished(job(*phases, evaluations(), slices=2, budget=budget))
    assert (found.state, found.stage("evaluate").state) == ("OVER_BUDGET", "STOPPED")


def test_training_gets_the_slice_of_evaluations_if_its_own_is_lost() -> None:
    plan = job(phase("a", steps=40), evaluations(), slices=2, hosts=1)
    away = WATCHDOG.init_s * 10
    world = World(
        plan, seed=1, faults={15: [lambda world: world.stop_machine(world.hosts[0], away)]}
    )
    found, events = run(world)
    check(world, found, events)
    assert found.state == "DONE"
    ended = [e for e in of_kind(events, "end") if e["attempt"] == "evaluate-1"]
    assert [e["message"] for e in ended] == ["its slice is needed for training"]
    started = [tuple(e["record"]["hosts"]) for e in of_kind(events, "attempt")]
    assert started[:3] == [(0,), (1,), (1,)]


@pytest.mark.parametrize("evaluates", [True, False])
def test_crashes_in_a_row_are_those_without_an_evaluation_between_them(evaluates: bool) -> None:
    plan = job(phase("a", steps=150), evaluations(), slices=2, hosts=1)
    changes: dict[str, object] = {"evaluation_crashes_at": 8, "evaluates": evaluates}
    _, found, events = finished(plan, **changes) if not evaluates else _crashing(plan, changes)
    crashes = [e for e in of_kind(events, "end") if e["stage"] == "evaluate"]
    if evaluates:
        assert len(crashes) > plan.launch.restart.max_failures
        assert found.stage("evaluate").state != "FAILED"
    else:
        assert found.stage("evaluate").state == "FAILED"
        assert len(crashes) == plan.launch.restart.max_failures


def _crashing(plan: Job, changes: dict[str, object]) -> tuple[World, JobState, list[Event]]:
    """Runs while the phase trains: evaluations that always crash never end."""
    world = World(plan, seed=1, faults={})
    for name, value in changes.items():
        setattr(world, name, value)
    found, events = run(world, 150)
    return world, found, events
