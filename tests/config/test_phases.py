"""Phases that are averages: what their config may hold, and what may start from them."""

import dataclasses
from typing import Any

import pytest

from codepretrain.config.parse import parse, to_dict
from codepretrain.config.schema import AverageConfig, PhaseConfig, ScheduleConfig, StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import UserError
from tests.configs import CONSTANT, STEP_TOKENS, small_study

TRUNK = PhaseConfig(tokens=10 * STEP_TOKENS, mixture={"text": 1.0}, schedule=CONSTANT)
ANNEAL = dataclasses.replace(TRUNK, parent="trunk")
FRESH = dataclasses.replace(TRUNK, parent="soup", carry_optimizer=False)


def average(*members: str, **fields: Any) -> PhaseConfig:
    return PhaseConfig(kind="average", average=AverageConfig(members=members, **fields))


def study(soup: PhaseConfig, **more: PhaseConfig) -> StudyConfig:
    return small_study({"trunk": TRUNK, "a": ANNEAL, "b": ANNEAL, "soup": soup, **more})


SOUP = average("a", "b")


@pytest.mark.parametrize(
    "config",
    [
        study(SOUP),
        study(average("b", "a", weights=(3.0, 1.0))),
        study(average("trunk", last_k=3)),
        study(average("trunk", ema_decay=0.5)),
        study(SOUP, more=FRESH, again=average("soup", "a")),
        study(dataclasses.replace(SOUP, is_replicated=False)),
    ],
)
def test_accepted_and_the_same_as_json(config: StudyConfig) -> None:
    check(config)
    assert parse(StudyConfig, to_dict(config)) == config


def refused(path: str, what: str) -> str:
    return f"config.phases.soup.{path} {what}"


HAS_NONE = "is set, but the phase is an average, which has none: leave it out"
CASES = [
    (study(dataclasses.replace(SOUP, tokens=5)), refused("tokens", HAS_NONE)),
    (study(dataclasses.replace(SOUP, mixture={"text": 1.0})), refused("mixture", HAS_NONE)),
    (study(dataclasses.replace(SOUP, schedule=CONSTANT)), refused("schedule", HAS_NONE)),
    (study(dataclasses.replace(SOUP, parent="trunk")), refused("parent", HAS_NONE)),
    (study(dataclasses.replace(SOUP, data_order="restart")), refused("data_order", HAS_NONE)),
    (study(dataclasses.replace(SOUP, carry_optimizer=False)), refused("carry_optimizer", HAS_NONE)),
    (study(dataclasses.replace(SOUP, weight_decay=0.1)), refused("weight_decay", HAS_NONE)),
    (
        study(PhaseConfig(kind="average")),
        "config.phases.soup.average is missing: expected AverageConfig",
    ),
    (
        study(dataclasses.replace(ANNEAL, average=SOUP.average)),
        'config.phases.soup.average is set: set config.phases.soup.kind to "average", or leave it '
        "out",
    ),
    (study(PhaseConfig(kind="soup")), "expected one of train, average, got 'soup'"),
    (study(PhaseConfig(mixture={"text": 1}, schedule=CONSTANT)), "tokens is missing: expected a w"),
    (study(PhaseConfig(mixture={"text": 1}, tokens=512)), "schedule is missing: expected Schedule"),
    (study(PhaseConfig(schedule=CONSTANT, tokens=512)), "expected at least one positive weight"),
    (
        study(average("a", "c")),
        "config.phases.soup.average.members[1]: there is no phase 'c'",
    ),
    (study(average("a", "a")), "config.phases.soup.average.members[1]: 'a' is there twice"),
    (
        study(average("a")),
        "config.phases.soup.average.members: expected at least two phases, got 1; to average "
        "several checkpoints of one, set last_k or ema_decay",
    ),
    (study(average()), "members: expected at least two phases, got 0"),
    (
        study(average("a", "b", weights=(1.0,))),
        "config.phases.soup.average.weights: expected one for each of 2 members, got 1",
    ),
    (study(average("a", "b", weights=(1.0, 0.0))), "weights[1]: expected a weight from 1e-9 to"),
    (study(average("a", "b", last_k=2)), "members: last_k is of one phase, got 2"),
    (study(average("a", last_k=1)), "last_k: expected a whole number from 2"),
    (study(average("a", ema_decay=1.0)), "ema_decay: expected a number in (0, 1)"),
    (study(average("a", last_k=2, ema_decay=0.5)), "has both last_k and ema_decay"),
    (study(average("a", last_k=2, weights=(1.0,))), "last_k has weights of its own"),
    (
        study(SOUP, more=average("soup", last_k=2)),
        "config.phases.more.average.last_k: 'soup' is an average itself, which has one checkpoint",
    ),
    (
        study(average("a", "soup")),
        "config.phases.soup.average: the phases form a cycle: soup → soup",
    ),
    (
        study(average("a", "more"), more=FRESH),
        "config.phases.soup.average: the phases form a cycle: soup → more → soup",
    ),
    (
        study(SOUP, more=dataclasses.replace(FRESH, carry_optimizer=True)),
        "config.phases.more.carry_optimizer is True, but 'soup' is an average, which has no "
        "optimizer state: set it to False",
    ),
    (
        study(SOUP, more=dataclasses.replace(FRESH, parent_tokens=STEP_TOKENS)),
        "config.phases.more.parent_tokens is set, but 'soup' is an average, which has no tokens: "
        "leave it out",
    ),
    (
        study(
            SOUP,
            more=dataclasses.replace(
                FRESH, schedule=ScheduleConfig(shape="linear", end_learning_rate=0.0)
            ),
        ),
        "config.phases.more.schedule.peak_learning_rate is None, which takes the parent's rate, "
        "but 'soup' is an average, which has none: set it to a number",
    ),
]


@pytest.mark.parametrize(("config", "message"), CASES, ids=[message[-40:] for _, message in CASES])
def test_refused(config: StudyConfig, message: str) -> None:
    with pytest.raises(UserError) as error:
        check(config)
    assert message in str(error.value)
