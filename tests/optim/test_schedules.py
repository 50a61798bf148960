"""Rates computed by hand, the promised exact ends, and refusals by message."""

import doctest
import itertools
import math
from typing import Any

import pytest

from codepretrain.config.schema import ScheduleConfig
from codepretrain.errors import UserError
from codepretrain.optim import schedules
from codepretrain.optim.schedules import SHAPES, resolve


def rates(num_steps: int, parent: float | None = None, **fields) -> list[float]:
    schedule = ScheduleConfig(**fields)
    resolved = resolve(schedule, num_steps=num_steps, parent_learning_rate=parent)
    return [resolved.at(step) for step in range(num_steps)]


@pytest.mark.parametrize(
    ("num_steps", "fields", "expected"),
    [
        # steps:                                       0    1    2    3    4    5    6
        (5, {"shape": "constant"}, [1.0, 1.0, 1.0, 1.0, 1.0]),
        (5, {"shape": "constant", "warmup_steps": 2}, [0.0, 0.5, 1.0, 1.0, 1.0]),
        (5, {"shape": "linear", "end_learning_rate": 0.0}, [1.0, 0.75, 0.5, 0.25, 0.0]),
        (5, {"shape": "linear", "end_learning_rate": 0.2}, [1.0, 0.8, 0.6, 0.4, 0.2]),
        (
            7,
            {"shape": "linear", "end_learning_rate": 0.0, "warmup_steps": 2},
            [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0],
        ),
        (
            7,  # warmup-stable-decay: the last half of the 4 steps after the warm-up
            {"shape": "linear", "end_learning_rate": 0.0, "warmup_steps": 2, "decay_fraction": 0.5},
            [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0],
        ),
        (
            5,
            {"shape": "cosine", "end_learning_rate": 0.0},
            [1.0, 0.5 + 0.25 * math.sqrt(2), 0.5, 0.5 - 0.25 * math.sqrt(2), 0.0],
        ),
        (
            5,
            {"shape": "one_minus_sqrt", "end_learning_rate": 0.0},
            [1.0, 0.5, 1 - math.sqrt(0.5), 1 - math.sqrt(0.75), 0.0],
        ),
    ],
)
def test_by_hand(num_steps, fields, expected):
    assert rates(num_steps, peak_learning_rate=1.0, **fields) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "constant"])
@pytest.mark.parametrize("decay_fraction", [1.0, 0.3, 0.1])
def test_first_and_last_are_exact(shape, decay_fraction):
    fields = {"shape": shape, "decay_fraction": decay_fraction}
    found = rates(97, peak_learning_rate=1e-3, end_learning_rate=1e-6, **fields)
    assert found[0] == 1e-3
    assert found[-1] == 1e-6
    assert all(a >= b for a, b in itertools.pairwise(found))


def test_cooldown_starts_where_the_parent_stood():
    found = rates(5, parent=3e-4, shape="linear", end_learning_rate=1e-6)
    assert found[0] == 3e-4
    assert found[-1] == 1e-6


def test_rewarming_starts_where_the_parent_stood():
    found = rates(
        9,
        parent=0.25,
        shape="cosine",
        start_learning_rate=None,
        peak_learning_rate=1.0,
        end_learning_rate=0.1,
        warmup_steps=3,
    )
    assert found[:4] == [0.25, 0.5, 0.75, 1.0]
    assert found[-1] == 0.1


def test_a_decay_that_rounds_to_no_step_is_refused():
    wsd: dict[str, Any] = {"shape": "linear", "peak_learning_rate": 1.0, "end_learning_rate": 0.0}
    message = (
        r"schedule.decay_fraction is 0.004: 0.004 of the 99 steps after the warm-up rounds to 0 "
        r"steps, so the rate would stay at its peak; expected at least 0.0101"
    )
    with pytest.raises(UserError, match=message):
        rates(100, **wsd, decay_fraction=0.004)
    assert rates(100, **wsd, decay_fraction=0.0101)[-2:] == [1.0, 0.0]
    with pytest.raises(UserError, match=r"schedule.decay_fraction is 0: 0 of the 99 steps"):
        rates(100, **wsd, decay_fraction=0.0)


@pytest.mark.parametrize("num_steps", [2, 3, 7, 100, 95_367])
def test_the_smallest_fraction_that_the_message_names_decays(num_steps):
    wsd: dict[str, Any] = {"shape": "linear", "peak_learning_rate": 1.0, "end_learning_rate": 0.0}
    with pytest.raises(UserError, match="expected at least") as error:
        rates(num_steps, **wsd, decay_fraction=0.2 / num_steps)
    smallest = float(str(error.value).split("expected at least ")[1].split()[0])
    assert rates(num_steps, **wsd, decay_fraction=smallest)[-2:] == [1.0, 0.0]


def test_a_phase_without_a_step_after_the_peak_cannot_decay():
    cosine: dict[str, Any] = {
        "shape": "cosine",
        "peak_learning_rate": 1.0,
        "end_learning_rate": 0.0,
    }
    with pytest.raises(UserError, match="no step is left after the warm-up"):
        rates(1, **cosine)
    with pytest.raises(UserError, match="no step is left after the warm-up"):
        rates(5, **cosine, warmup_steps=4)
    assert rates(2, **cosine) == [1.0, 0.0]
    assert rates(1, **{**cosine, "end_learning_rate": 1.0}) == [1.0]  # nothing to decay to


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": "cosin"}, "shape is 'cosin'; expected one of constant, linear, cosine"),
        ({"shape": "linear"}, "end_learning_rate is missing"),
        ({"shape": "constant", "end_learning_rate": 0.1}, "ends at its peak, 1.0"),
        ({"shape": "constant", "warmup_steps": 5}, "warmup_steps is 5, but the phase has 5"),
        ({"shape": "constant", "decay_fraction": 1.5}, "decay_fraction is 1.5"),
        ({"shape": "constant", "peak_learning_rate": None}, "there is no parent"),
        (
            {"shape": "constant", "start_learning_rate": None, "warmup_steps": 1},
            "start_learning_rate is None, which takes the parent's rate",
        ),
        ({"shape": "constant", "peak_learning_rate": -1.0}, "expected a number ≥ 0"),
        ({"shape": "constant", "peak_learning_rate": math.nan}, "expected a number ≥ 0"),
    ],
)
def test_refused(fields, message):
    with pytest.raises(UserError, match=message):
        rates(5, **{"peak_learning_rate": 1.0, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": "constant", "warmup_steps": 3},
        {"shape": "constant", "warmup_steps": 3, "start_learning_rate": 1.0},
        {"shape": "cosine", "end_learning_rate": 0.1, "warmup_steps": 5},
        {"shape": "linear", "end_learning_rate": 0.1, "warmup_steps": 5, "decay_fraction": 0.3},
        {"shape": "one_minus_sqrt", "end_learning_rate": 0.0, "decay_fraction": 0.5},
    ],
)
def test_a_prefix_describes_the_rates_and_nothing_else(fields):
    """Equal descriptions have equal rates, and the description gives every rate back."""
    schedule = ScheduleConfig(peak_learning_rate=1.0, **fields)
    lengths = (8, 12, 30)
    resolved = {n: resolve(schedule, num_steps=n) for n in lengths}
    for a, b in itertools.combinations_with_replacement(lengths, 2):
        for stop in range(a + 1):
            rates_agree = [resolved[a].at(s) for s in range(stop)] == [
                resolved[b].at(s) for s in range(stop)
            ]
            if resolved[a].prefix(stop) == resolved[b].prefix(stop):
                assert rates_agree, (a, b, stop)
            elif stop > schedule.warmup_steps + 1:
                assert not rates_agree, (a, b, stop)
            assert sum(stretch["num_steps"] for stretch in resolved[a].prefix(stop)) == stop


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(schedules) == (0, 8)
