"""Chip-hours: spent, promised, and left."""

from dataclasses import replace

import pytest

from codepretrain.launch import budget
from codepretrain.launch.machine import BudgetConfig
from codepretrain.launch.records import Attempt
from codepretrain.launch.states import JobState, Live, StageState
from tests.launch.random_faults import job, phase

STAGES = (
    phase("a", steps=10, expected_chip_hours=4.0),
    phase("b", steps=10, expected_chip_hours=6.0),
)


def known(*, saved: int | None = None, is_running: bool = False) -> JobState:
    """Stage a has used 2 chip-hours; its gang of 2 hosts was last measured at 1000 s."""
    attempt = Attempt(
        id="train.a-1",
        stage="train.a",
        number=1,
        hosts=(0, 1),
        coordinator=None,
        expected_step=None,
        arguments=(),
    )
    live = Live(
        attempt=attempt,
        boots={},
        before={},
        num_slices=1,
        started_s=0,
        measured_s=1000.0,
    )
    stage = StageState(state="RUNNING", saved_step=saved, chip_seconds=7200.0)
    return JobState(stages={"train.a": stage}, live={"train.a-1": live} if is_running else {})


def plan(**fields):
    config = BudgetConfig(**fields)
    return replace(job(*STAGES, budget=config), chips_per_host=4, price_per_chip_hour=2.0)


def test_what_is_spent() -> None:
    assert budget.spent_hours(plan(), known(), 5000.0) == 2.0
    # 8 chips for 90 s that no event holds yet
    assert budget.spent_hours(plan(), known(is_running=True), 1090.0) == pytest.approx(2.2)
    # nobody conducted for an hour: nobody knows whether the chips were in use
    most = 2.0 + 8 * budget.MAX_GAP_S / 3600
    assert budget.spent_hours(plan(), known(is_running=True), 4600.0) == pytest.approx(most)
    assert budget.spent_hours(plan(), known(is_running=True), 900.0) == 2.0


def test_the_lowest_cap_counts() -> None:
    assert budget.cap_hours(plan(), known()) is None
    assert budget.cap_hours(plan(max_chip_hours=9), known()) == (9, "budget.max_chip_hours = 9")
    both = plan(max_chip_hours=9, max_price=10)
    assert budget.cap_hours(both, known()) == (5, "budget.max_price = 10")
    raised = replace(known(), max_price=100.0)
    assert budget.cap_hours(both, raised) == (9, "budget.max_chip_hours = 9")
    free = replace(both, price_per_chip_hour=None)
    assert budget.cap_hours(free, known()) == (9, "budget.max_chip_hours = 9")


def test_reservations() -> None:
    b = STAGES[1]
    # 2 spent, 4 reserved for a: 6 more fit into 12
    assert budget.refusal(plan(max_chip_hours=12), known(is_running=True), b, 1000.0) is None
    refused = budget.refusal(plan(max_chip_hours=11), known(is_running=True), b, 1000.0)
    assert refused == (
        "train.b is expected to take 6 chip-hours, and 5 of budget.max_chip_hours = 11 are left"
    )
    # 3/4 of the steps of a are not lost: only 1 of its 4 hours is still reserved
    most = known(is_running=True, saved=7)
    assert budget.refusal(plan(max_chip_hours=9.3), most, b, 1000.0) is None
    assert budget.refusal(plan(max_chip_hours=12), known(), b, 0.0, promised=4.5) is not None
    assert budget.refusal(plan(), known(), b, 0.0) is None


def test_exhaustion_leaves_time_to_save() -> None:
    capped = plan(max_chip_hours=2.2)
    assert budget.exhaustion(capped, known(is_running=True), 1089.0, 0.0) is None
    found = budget.exhaustion(capped, known(is_running=True), 1089.0, 5.0)
    assert found == "2.198 chip-hours are spent: budget.max_chip_hours = 2.2 is reached"
