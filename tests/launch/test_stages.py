"""The stages of a study with replicates."""

import dataclasses

from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.stages import make_stages, phases_to_train
from codepretrain.study.describe import describe
from codepretrain.study.graph import resolve
from tests.study.test_replicates import SEEDS, SIZES, study


def test_every_replicate_has_stages_of_its_own() -> None:
    config = study(SEEDS[:2])
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={})
    stages = make_stages(
        config,
        LaunchConfig(),
        phases_to_train(plan, ()),
        where=("--config", "study.py"),
        prepares=False,
        reports=True,
        evaluates_apart=True,
    )
    assert {stage.name: stage.parents for stage in stages} == {
        "train.trunk": (),
        "train.with_code": ("train.trunk",),
        "train.trunk-r1": (),
        "train.with_code-r1": ("train.trunk-r1",),
        "evaluate": (),
        "report": (
            *("train.trunk", "train.with_code", "train.trunk-r1", "train.with_code-r1"),
            "evaluate",
        ),
    }
    arguments = {stage.name: stage.arguments for stage in stages}
    assert "trunk-r1" in arguments["train.trunk-r1"]
    assert arguments["evaluate"].count("--phase") == 4
    assert len({stage.fingerprint for stage in stages if stage.phase}) == 4


def test_a_selected_phase_brings_the_trunk_of_its_replicate() -> None:
    config = study()
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={})
    names = [phase["name"] for phase in phases_to_train(plan, ["with_code-r2"])]
    assert names == ["trunk-r2", "with_code-r2"]


def test_replicates_of_one_fingerprint_are_one_stage() -> None:
    """Of an imported model that is trained on the same rows in the same order."""
    seeds = (SEEDS[0], dataclasses.replace(SEEDS[0], initialization_seed=9))
    config = study(seeds)
    imported = dataclasses.replace(config.phases["trunk"], initial_checkpoint="model")
    config = dataclasses.replace(config, phases={**config.phases, "trunk": imported})
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={"model": None})
    assert [phase["name"] for phase in plan["phases"]] == ["trunk", "with_code"]
    assert [p["name"] for p in phases_to_train(plan, ["with_code-r1"])] == ["trunk", "with_code"]
