"""Averages in the graph: members, weights, steps that are kept, data, fingerprints, replicates."""

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from codepretrain.config.schema import (
    AverageConfig,
    CheckpointConfig,
    PhaseConfig,
    ScheduleConfig,
    StudyConfig,
)
from codepretrain.config.validate import check
from codepretrain.errors import UserError
from codepretrain.hardware.chips import CHIPS
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.stages import make_stages, phases_to_train
from codepretrain.podplan.cost import study_cost
from codepretrain.study.data_use import data_use
from codepretrain.study.describe import check_caps, describe
from codepretrain.study.describe_text import print_plan
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import AveragePhase, branch_steps, resolve
from codepretrain.study.replication import replication
from tests.study.test_graph import CONSTANT, STEP, small_study
from tests.study.test_replicates import ROWS, SEEDS, SIZES

TRUNK = PhaseConfig(tokens=STEP * 10, mixture={"text": 3, "code": 1}, schedule=CONSTANT)
ANNEAL = PhaseConfig(
    parent="trunk",
    tokens=STEP * 2,
    mixture={"text": 1},
    schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
)
OTHER = dataclasses.replace(ANNEAL, tokens=STEP * 3, mixture={"code": 1})
AFTER = PhaseConfig(
    parent="soup",
    tokens=STEP * 2,
    mixture={"text": 1, "code": 1},
    schedule=CONSTANT,
    carry_optimizer=False,
)


def average(*members: str, **fields: Any) -> PhaseConfig:
    return PhaseConfig(kind="average", average=AverageConfig(members=members, **fields))


def study(interval: int | None = None, **phases: PhaseConfig) -> StudyConfig:
    known = {"trunk": TRUNK, "a": ANNEAL, "b": OTHER, "soup": average("a", "b"), **phases}
    config = small_study(**known)
    return dataclasses.replace(
        config,
        checkpoint=CheckpointConfig(permanent_interval_steps=interval),
        variants={"plain": "a", "souped": "soup"},
    )


def members(config: StudyConfig, name: str) -> list[tuple[str, int, float]]:
    check(config)
    phase = resolve(config)[name]
    assert isinstance(phase, AveragePhase)
    return [(m.phase.name, m.step, m.weight) for m in phase.members]


def prints(config: StudyConfig) -> dict[str, str]:
    return fingerprints(config, resolve(config), rows=ROWS, imports={})


def plan(config: StudyConfig) -> dict[str, Any]:
    return describe(config, resolve(config), source_sizes=SIZES, imports={})


def test_members_and_weights() -> None:
    assert members(study(), "soup") == [("a", 2, 0.5), ("b", 3, 0.5)]
    weighted = average("b", "a", weights=(3.0, 1.0))
    assert members(study(x=weighted), "x") == [("b", 3, 0.75), ("a", 2, 0.25)]
    newest = study(4, x=average("trunk", last_k=2))
    assert members(newest, "x") == [("trunk", 8, 0.5), ("trunk", 10, 0.5)]
    moving = study(4, x=average("trunk", ema_decay=0.5))
    assert members(moving, "x") == [
        ("trunk", 4, 1 / 7),
        ("trunk", 8, 2 / 7),
        ("trunk", 10, 4 / 7),
    ]


def test_a_decay_of_one_half_is_the_ema_over_checkpoints_without_its_first_bias() -> None:
    decay, ema, weight = 0.7, 0.0, 0.0
    values = {2: 5.0, 4: -1.0, 6: 2.0, 8: 7.0, 10: 3.0}
    for value in values.values():
        ema, weight = decay * ema + (1 - decay) * value, decay * weight + (1 - decay)
    found = members(study(2, x=average("trunk", ema_decay=decay)), "x")
    assert sum(w * values[step] for _, step, w in found) == pytest.approx(ema / weight)


@pytest.mark.parametrize(
    ("interval", "average", "message"),
    [
        (
            None,
            average("trunk", last_k=2),
            "config.phases.x.average.last_k: expected at least 2 permanent checkpoints of 'trunk', "
            "which keeps 1 in its 10 steps: set config.checkpoint.permanent_interval_steps to at "
            "most 5",
        ),
        (
            4,
            average("trunk", last_k=4),
            "config.phases.x.average.last_k: expected at least 4 permanent checkpoints of 'trunk', "
            "which keeps 3 in its 10 steps, every 4 steps and at its end: set config.checkpoint."
            "permanent_interval_steps to at most 2",
        ),
        (10, average("trunk", ema_decay=0.5), "expected at least 2 permanent checkpoints"),
    ],
)
def test_checkpoints_that_are_not_kept_are_refused(
    interval: int | None, average: PhaseConfig, message: str
) -> None:
    config = study(interval, x=average)
    check(config)
    with pytest.raises(UserError) as error:
        resolve(config)
    assert message in str(error.value)


@pytest.mark.parametrize("steps_at_most", range(2, 11))
def test_the_interval_that_a_message_proposes_is_enough(steps_at_most: int) -> None:
    interval = max(10 // steps_at_most, 1)
    resolve(study(interval, x=average("trunk", last_k=steps_at_most)))


def test_too_many_checkpoints_are_refused() -> None:
    trunk = dataclasses.replace(TRUNK, tokens=STEP * 1001)
    with pytest.raises(UserError, match="at most 1,000 permanent checkpoints of 'trunk', which k"):
        resolve(study(1, trunk=trunk, x=average("trunk", ema_decay=0.5)))
    assert len(members(study(1, trunk=trunk, x=average("trunk", last_k=1000)), "x")) == 1000


def test_what_an_average_needs_is_kept() -> None:
    phases = resolve(study(4, x=average("trunk", last_k=3), y=average("soup", "trunk")))
    assert branch_steps(phases, "trunk") == {4, 8, 10}
    assert branch_steps(phases, "a") == {2}
    assert branch_steps(phases, "soup") == {1}


def test_the_path_has_every_phase_once_and_members_first() -> None:
    phases = resolve(study(after=AFTER, x=average("after", "soup", "a")))
    path = ["trunk", "a", "b", "soup", "after", "x"]
    assert [phase.name for phase in phases["x"].path] == path
    assert [phase.name for phase in phases["x"].roots] == ["trunk"]
    assert list(phases) == ["trunk", "a", "b", "soup", "after", "x"]


def test_data_of_an_average_is_that_of_its_furthest_member() -> None:
    phases = resolve(study(after=AFTER))
    soup, after = phases["soup"], phases["after"]
    assert (soup.tokens, soup.tokens_before, after.tokens_before) == (0, 13 * STEP, 13 * STEP)
    assert soup.rows_per_source() == {}
    # The trunk draws 30 and 10 rows; a draws 8 of text, b draws 12 of code.
    assert soup.draws_at(1) == {"text": (38,), "code": (22,)}
    assert after.start_ordinals == {"text": 38, "code": 22}
    assert after.draws_at(2) == {"text": (42,), "code": (26,)}


def test_restarted_cursors_are_compared_from_the_newest() -> None:
    again = dataclasses.replace(ANNEAL, data_order="restart")
    soup = resolve(study(a=again))["soup"]
    # a: 30 text and 10 code before its restart, 8 text after; b: one cursor of 30 and 22.
    assert soup.draws_at(1) == {"text": (30, 30), "code": (10, 22)}


def test_caps_count_the_rows_of_the_members() -> None:
    config = study(after=AFTER)
    held = {
        s: dataclasses.replace(size, num_rows=20, num_tokens=20 * 64) for s, size in SIZES.items()
    }
    sources = {
        name: dataclasses.replace(source, max_epochs=1.25 if name == "code" else 9.0)
        for name, source in config.data.sources.items()
    }
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    with pytest.raises(UserError, match="'after' would have read 1,664 tokens of source 'code'"):
        check_caps(config, resolve(config), source_sizes=held)


def test_fingerprints_are_of_states_steps_and_weights() -> None:
    found = prints(study(5, x=average("a", "b", weights=(7.0, 7.0)), y=average("trunk", last_k=2)))
    assert found["x"] == found["soup"]
    assert prints(study())["soup"] == found["soup"]  # whatever else is kept
    assert prints(study(x=average("b", "a")))["x"] != found["soup"]
    assert prints(study(x=average("a", "b", weights=(1.0, 2.0))))["x"] != found["soup"]
    changed = dataclasses.replace(ANNEAL, weight_decay=0.3)
    assert prints(study(a=changed))["soup"] != found["soup"]
    assert prints(study(2, y=average("trunk", last_k=2)))["y"] != found["y"]
    assert prints(study(after=AFTER))["after"] != prints(study(a=changed, after=AFTER))["after"]


def test_the_last_two_are_a_soup_of_shorter_phases() -> None:
    """A state is known by what made it, not by the phase of which it is a part."""
    short = dataclasses.replace(TRUNK, tokens=STEP * 5)
    found = prints(study(5, y=average("trunk", last_k=2), s=short, z=average("s", "trunk")))
    assert found["y"] == found["z"]


def test_replicates() -> None:
    config = dataclasses.replace(study(after=AFTER), replicates=SEEDS[:2])
    phases = resolve(config)
    assert [o.phase.name for o in phases["soup-r1"].origins] == ["a-r1", "b-r1"]
    assert "after-r1" not in phases
    assert len(set(prints(config).values())) == len(phases) == 9
    runs = replication(config, phases, prints(config), ["souped", "plain"])
    assert runs.counts == {"souped": 2, "plain": 2}


def test_a_member_that_is_not_replicated_is_one() -> None:
    shared = dataclasses.replace(TRUNK, is_replicated=False)
    config = study(t2=shared, b=dataclasses.replace(OTHER, parent="t2"))
    config = dataclasses.replace(config, replicates=SEEDS[:2])
    phases = resolve(config)
    assert [p.name for p in phases["soup-r1"].roots] == ["trunk-r1", "t2"]
    runs = replication(config, phases, prints(config), ["souped", "plain"])
    assert runs.counts == {"souped": 1, "plain": 2}


def test_plan() -> None:
    found = plan(study(4, x=average("trunk", last_k=3)))
    soup = next(phase for phase in found["phases"] if phase["name"] == "soup")
    assert (soup["kind"], soup["parents"], soup["parent"]) == ("average", ["a", "b"], None)
    assert soup["members"] == [
        {"phase": "a", "step": 2, "weight": 0.5},
        {"phase": "b", "step": 3, "weight": 0.5},
    ]
    assert found["variants"]["souped"] == ["trunk", "a", "b", "soup"]
    cost = study_cost(
        study(), {p["name"]: p["tokens"] for p in found["phases"]}, chip=CHIPS["v5e"], num_chips=4
    )
    assert cost["phases"]["soup"]["chip_hours"] == 0
    printed = io.StringIO()
    print_plan(Console(file=printed, width=200), found)
    text = printed.getvalue()
    assert "average of 2 checkpoints: 0.5 a@2 + 0.5 b@3" in text
    assert "average of 3 checkpoints: 0.3333 trunk@4 + 0.3333 trunk@8 + 0.3333 trunk@10" in text
    assert "variant souped: trunk → a, b → soup" in text


def test_many_checkpoints_are_one_line() -> None:
    printed = io.StringIO()
    print_plan(Console(file=printed, width=300), plan(study(1, x=average("trunk", ema_decay=0.9))))
    text = printed.getvalue()
    assert "trunk@3 + … + 0.1244 trunk@8 + " in text


def test_data_use() -> None:
    config = study(after=AFTER)
    use = data_use(config, resolve(config), source_sizes=SIZES)
    soup = next(phase for phase in use["phases"] if phase["name"] == "soup")
    assert (soup["parent"], soup["tokens"], soup["sources"]) == ("a, b", 0, {})
    souped = next(variant for variant in use["variants"] if variant["variant"] == "souped")
    assert souped["tokens"] == 13 * STEP
    assert souped["sources"]["code"]["tokens"] == 22 * 64


def test_stages_wait_for_all_members() -> None:
    config = study(after=AFTER)
    stages = make_stages(
        config,
        LaunchConfig(),
        phases_to_train(plan(config), ["after"]),
        where=("--config", "study.py"),
        prepares=True,
        reports=False,
    )
    assert {stage.name: stage.parents for stage in stages} == {
        "prepare": (),
        "train.trunk": ("prepare",),
        "train.a": ("train.trunk",),
        "train.b": ("train.trunk",),
        "train.soup": ("train.a", "train.b"),
        "train.after": ("train.soup",),
    }
    soup = next(stage for stage in stages if stage.name == "train.soup")
    assert (soup.num_steps, soup.tokens) == (1, 0)
