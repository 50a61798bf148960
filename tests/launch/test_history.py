"""What became of attempts, by hand."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from codepretrain.launch.cost import cost_of
from codepretrain.launch.events import merged
from codepretrain.launch.history import attempts_of
from codepretrain.launch.host_status import Look
from codepretrain.launch.status import status_of
from tests.launch import random_faults
from tests.launch import told_job as told
from tests.launch.simulator import Fault, World


def test_the_parts_of_an_attempt_by_hand() -> None:
    found = attempts_of(told.numbered(*told.CRASHED))["train.a-1"]
    expected = {"start": 10, "restore": 5, "compile": 20, "train": 100, "stall": 0, "end": 4}
    assert found.parts() == expected
    assert (found.num_steps, found.lost_steps, found.cause) == (50, 10, "crash")


def test_the_time_until_a_hang_is_noticed_is_no_training() -> None:
    hang = told.event(
        135, "hang", attempt="train.a-1", host=1, activity="train", idle_s=30.0, deadline_s=30.0
    )
    events = [e for e in told.CRASHED if e["event"] != "closing"]
    events.insert(-3, hang)
    closing = next(e for e in told.CRASHED if e["event"] == "closing")
    events.insert(-3, closing)
    parts = attempts_of(told.numbered(*events))["train.a-1"].parts()
    assert (parts["train"], parts["stall"], parts["end"]) == (70, 30, 4)


def test_resumed_before_all_are_running() -> None:
    """A worker may have restored before the conductor has seen all of them begin."""
    events = [
        told.started(0, 1),
        told.event(8, "resumed", attempt="train.a-1", step=0, expected=None),
        told.event(9, "running", attempt="train.a-1", after_s=9.0),
        told.measured(60, 1, 60.0),
    ]
    parts = attempts_of(told.numbered(*events))["train.a-1"].parts()
    assert parts == {"start": 8, "restore": 0, "compile": 52, "train": 0, "stall": 0, "end": 0}


def test_an_attempt_that_has_just_started() -> None:
    found = attempts_of(told.numbered(told.started(5, 1, expected=7)))["train.a-1"]
    assert sum(found.parts().values()) == 0
    assert (found.num_steps, found.expected_step, found.cause) == (0, 7, None)


def test_the_parts_sum_to_the_time() -> None:
    for number in range(3, len(told.CRASHED) + 1):
        found = attempts_of(told.numbered(*told.CRASHED[:number]))["train.a-1"]
        assert sum(found.parts().values()) == found.newest_s - found.started_s


@pytest.mark.parametrize("seed", range(60))
def test_what_holds_for_every_schedule_of_faults(seed: int) -> None:
    rng = random.Random(seed)
    world = World(random_faults.random_job(rng), seed=seed, faults=random_faults.random_faults(rng))
    state = world.run(900)
    events = merged(world.journals)
    attempts = attempts_of(events)
    for found in attempts.values():
        parts = found.parts()
        assert min(parts.values()) >= 0
        assert found.ended_s is not None
        assert sum(parts.values()) == pytest.approx(found.ended_s - found.started_s, abs=0.01)
        assert found.lost_steps <= max(found.num_steps, 1)
    steps = Counter(e["attempt"] for e in events if e["event"] == "first_step")
    assert all(number == 1 for number in steps.values())
    made = {e["attempt"] for e in events if e["event"] == "end" and e["step"]}
    cost = cost_of(world.job, events)
    assert sum(cost.total.by_kind.values()) == pytest.approx(cost.total.chip_hours)
    assert cost.total.chip_hours == pytest.approx(state.chip_seconds / 3600)
    assert made or not steps
    status = status_of(world.job, events, Look())
    assert (status.state, status.is_over) == (state.state, True)
    failures = sum(sum(stage.failures.values()) for stage in status.stages)
    assert failures == sum(a.cause not in ("done", "stopped") for a in attempts.values())


@pytest.mark.parametrize("make", [random_faults.kill_supervisor, random_faults.lose_all])
def test_steps_of_a_machine_that_is_gone_are_lost(make: Callable[[random.Random], Fault]) -> None:
    """Its supervisor, once started again, knows nothing of the worker."""
    num_lost = 0
    for tick in range(20, 60):
        rng = random.Random(tick)
        plan = random_faults.job(random_faults.phase("a", steps=40), hosts=1)
        world = World(plan, seed=tick, faults={tick: [make(rng)]})
        world.run(900)
        found = list(attempts_of(merged(world.journals)).values())
        assert sum(a.num_steps - a.lost_steps for a in found) <= 40, tick
        num_lost += sum(a.lost_steps for a in found)
    assert num_lost > 10


def test_steps_that_a_later_attempt_makes_again_are_lost() -> None:
    """The first one saves 40 of 50 steps. They count for as long as its checkpoint is there."""
    again = [
        told.started(200, 2),
        told.event(215, "resumed", attempt="train.a-2", step=30, expected=None),
        told.event(235, "first_step", attempt="train.a-2", step=31),
    ]
    found = attempts_of(told.numbered(*told.CRASHED, *again))
    assert [a.lost_steps for a in found.values()] == [20, 0]
    again[0] = told.started(200, 2, expected=40)
    found = attempts_of(told.numbered(*told.CRASHED, *again, told.ended(240, 2, "damage")))
    assert [a.lost_steps for a in found.values()] == [10, 1]  # it resumed before step 40


def test_a_resume_from_a_local_checkpoint_gives_steps_back() -> None:
    """40 of 50 steps were committed; the disks of the hosts have 48."""
    again = [
        told.started(200, 2, expected=40),
        told.event(215, "resumed", attempt="train.a-2", step=48, expected=40),
    ]
    found = attempts_of(told.numbered(*told.CRASHED, *again))
    assert [a.lost_steps for a in found.values()] == [2, 0]
