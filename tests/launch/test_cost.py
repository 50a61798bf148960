"""Chip-hours and price, by hand."""

import pytest

from codepretrain.launch.cost import KINDS, cost_of
from tests.launch import told_job as told


def test_a_crash_by_hand() -> None:
    """4 chips for 139 s; of 100 s of training, a fifth is made again."""
    cost = cost_of(told.make_job(), told.numbered(*told.CRASHED))
    hour = 4 / 3600
    expected = dict(zip(KINDS, (80, 20, 10, 5, 20, 0, 4), strict=True))
    assert cost.stages["train.a"].by_kind == pytest.approx(
        {kind: hour * seconds for kind, seconds in expected.items()}
    )
    assert cost.total.chip_hours == pytest.approx(139 * hour)
    assert cost.total.price == pytest.approx(2.0 * 139 * hour)
    assert (cost.total.expected_chip_hours, cost.total.expected_price) == (0.5, 1.0)
    assert cost.total.productive_share == pytest.approx(80 / 139)
    assert [(a.attempt, a.cause, a.steps, a.lost_steps) for a in cost.attempts] == [
        ("train.a-1", "crash", 50, 10)
    ]


def test_time_that_nobody_measured_is_not_charged() -> None:
    """Every supervisor was gone for an hour: the kinds share what was measured."""
    late = [told.measured(3739, 1, 79.0) if e["event"] == "chip_hours" else e for e in told.CRASHED]
    events = [e for e in late if e["event"] not in ("end", "state", "closing")]
    cost = cost_of(told.make_job(), told.numbered(*events))
    assert sum(cost.total.by_kind.values()) == pytest.approx(cost.total.chip_hours)


def test_without_a_price_or_an_attempt() -> None:
    cost = cost_of(told.make_job(price_per_chip_hour=None), [])
    assert (cost.state, cost.total.chip_hours, cost.total.price) == ("PLANNED", 0.0, None)
    assert cost.total.productive_share is None


@pytest.mark.parametrize(("cause", "kind"), [("done", "productive"), ("crash", "repeated")])
def test_a_stage_without_steps(cause: str, kind: str) -> None:
    """A report of 60 s on one host; a crash has it made again."""
    start = told.started(0, 1)
    start["record"] = {**start["record"], "id": "report-1", "stage": "report", "hosts": [0]}
    name = {"attempt": "report-1"}
    events = [
        {**start, **name},
        told.event(20, "running", after_s=20.0, **name),
        {**told.measured(60, 1, 60.0), **name, "chip_seconds": 120.0},
        {**told.ended(60, 1, cause, message="m"), **name},
    ]
    found = cost_of(told.make_job(), told.numbered(*events)).stages["report"]
    assert found.by_kind[kind] == pytest.approx(40 * 2 / 3600)
    assert found.by_kind["start"] == pytest.approx(20 * 2 / 3600)
    assert found.chip_hours == pytest.approx(60 * 2 / 3600)
