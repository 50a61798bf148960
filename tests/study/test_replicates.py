"""Phase × replicate: names, seeds, what is shared, and what each seed changes."""

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from codepretrain.config.schema import (
    ContrastConfig,
    PhaseConfig,
    ReplicateConfig,
    ScheduleConfig,
    StudyConfig,
)
from codepretrain.config.validate import check
from codepretrain.errors import UserError
from codepretrain.study.data_use import data_use
from codepretrain.study.describe import describe
from codepretrain.study.describe_text import print_plan
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import branch_steps, resolve, row_order
from codepretrain.study.replicates import all_phases, last_phases, shared_seeds
from codepretrain.study.source_sizes import SourceSize
from tests.study.test_graph import CONSTANT, STEP, small_study

ROWS = {"text": "a", "code": "b"}
SIZES = {
    name: SourceSize(identity=name, num_rows=200, num_tokens=12_800) for name in ("text", "code")
}
SEEDS = tuple(ReplicateConfig(initialization_seed=i, data_order_seed=10 + i) for i in range(3))
TRUNK = PhaseConfig(tokens=STEP * 4, mixture={"text": 3, "code": 1}, schedule=CONSTANT)
ANNEAL = PhaseConfig(
    parent="trunk",
    parent_tokens=STEP * 2,
    tokens=STEP * 2,
    mixture={"code": 1},
    schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
)


def study(seeds: tuple[ReplicateConfig, ...] = SEEDS, **changes: Any) -> StudyConfig:
    phases = changes.pop("phases", {"trunk": TRUNK, "with_code": ANNEAL})
    variants = changes.pop("variants", {"plain": "trunk", "code": "with_code"})
    return dataclasses.replace(
        small_study(**phases), replicates=seeds, variants=variants, **changes
    )


def prints(config: StudyConfig) -> dict[str, str]:
    return fingerprints(config, resolve(config), rows=ROWS, imports={"model": "w"})


def test_every_replicate_has_a_trunk_of_its_own() -> None:
    phases = resolve(study())
    assert list(phases) == [
        *("trunk", "with_code"),
        *("trunk-r1", "with_code-r1"),
        *("trunk-r2", "with_code-r2"),
    ]
    assert all_phases(study()) == list(phases)
    assert [phase.name for phase in phases["with_code-r2"].path] == ["trunk-r2", "with_code-r2"]
    assert phases["with_code-r2"].seeds == SEEDS[2]
    assert branch_steps(phases, "trunk-r1") == {2, 4}
    assert len(set(prints(study()).values())) == 6


def test_one_replicate_is_the_study_without_them() -> None:
    seed = ReplicateConfig(initialization_seed=7, data_order_seed=7)
    assert prints(study((seed,))) == prints(study((), seed=7))


def test_contrasts_and_counts_change_no_fingerprint() -> None:
    contrast = ContrastConfig(variants=("code", "plain"), metric="exam", direction="higher")
    changed = study(contrasts={"main": contrast}, num_replicates={"plain": 2})
    assert prints(changed) == prints(study())


def test_a_variant_may_have_fewer() -> None:
    config = study(num_replicates={"code": 1})
    assert list(resolve(config)) == ["trunk", "with_code", "trunk-r1", "trunk-r2"]
    assert last_phases(config, "code") == ["with_code"]
    assert last_phases(config, "plain") == ["trunk", "trunk-r1", "trunk-r2"]


def test_a_phase_that_no_variant_needs_has_one() -> None:
    assert list(resolve(study(variants={"plain": "trunk"})))[:3] == [
        "trunk",
        "with_code",
        "trunk-r1",
    ]
    assert "with_code-r1" not in resolve(study(variants={"plain": "trunk"}))


def test_replicates_of_a_child_may_share_one_trunk() -> None:
    trunk = dataclasses.replace(TRUNK, is_replicated=False)
    config = study(phases={"trunk": trunk, "with_code": ANNEAL})
    phases = resolve(config)
    assert list(phases) == ["trunk", "with_code", "with_code-r1", "with_code-r2"]
    assert {phase.path[0].name for phase in phases.values()} == {"trunk"}
    assert len(set(prints(config).values())) == 4, "they differ in the order of their data"
    plan = describe(config, phases, source_sizes=SIZES, imports={})
    assert plan["replicates"] == {
        "plain": [["trunk"]],
        "code": [["trunk", "with_code"], ["trunk", "with_code-r1"], ["trunk", "with_code-r2"]],
    }
    assert plan["tokens_of_one_replicate"] == STEP * 6


def test_ancestors_of_a_phase_that_is_not_replicated_are_trained_once() -> None:
    anneal = dataclasses.replace(ANNEAL, is_replicated=False)
    config = study(phases={"trunk": TRUNK, "with_code": anneal}, variants={"code": "with_code"})
    assert list(resolve(config)) == ["trunk", "with_code"]
    assert last_phases(config, "code") == ["with_code"]


def test_the_two_seeds_change_what_they_name() -> None:
    first = ReplicateConfig(initialization_seed=0, data_order_seed=0)
    order = ReplicateConfig(initialization_seed=0, data_order_seed=1)
    weights = ReplicateConfig(initialization_seed=1, data_order_seed=0)
    phases = resolve(study((first, order, weights)))

    def rows(name: str) -> list[int]:
        rows_of = row_order(phases[name], rows_available={"text": 100, "code": 100})
        return [int(record) for record in rows_of.batch(0).record]

    assert rows("trunk") == rows("trunk-r2") != rows("trunk-r1")
    assert len(set(prints(study((first, order, weights))).values())) == 6


def test_an_imported_model_has_no_initialization_seed() -> None:
    """Replicates that differ in it alone would be one training, under one fingerprint."""
    imported = dataclasses.replace(TRUNK, initial_checkpoint="model")
    seeds = (SEEDS[0], ReplicateConfig(initialization_seed=9, data_order_seed=10))
    found = prints(study(seeds, phases={"trunk": imported}, variants={"plain": "trunk"}))
    assert found["trunk"] == found["trunk-r1"]


def test_what_a_plan_prints() -> None:
    """A phase once, with the names of the others; what replicates share and cost."""
    trunk = dataclasses.replace(TRUNK, is_replicated=False)
    contrast = ContrastConfig(variants=("code", "plain"), metric="exam", direction="higher")
    config = study(phases={"trunk": trunk, "with_code": ANNEAL}, contrasts={"main": contrast})
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={})
    console = io.StringIO()
    print_plan(Console(file=console, width=200), plan)
    lines = console.getvalue().splitlines()
    assert [line for line in lines if line.startswith(("trunk", "with_code"))] == [
        f"trunk  {plan['phases'][0]['fingerprint'][:12]}",
        f"with_code  {plan['phases'][1]['fingerprint'][:12]}",
    ]
    prints = [phase["fingerprint"][:12] for phase in plan["phases"][2:]]
    assert f"  with other seeds: with_code-r1  {prints[0]}, with_code-r2  {prints[1]}" in lines
    assert lines[-4] == "replicates: plain 1, code 3"
    assert lines[-3] == (
        "  the replicates of code share trunk: they are not independent of one another"
    )
    assert lines[-2] == "  2.56k tokens in all, 1.536k in the first replicate (1.67×)"
    assert lines[-1].startswith("contrast main: plain will have one independent replicate")
    assert plan["contrasts"]["main"]["replicates"] == {"code": 3, "plain": 1}


def test_data_use_counts_one_replicate() -> None:
    config = study()
    use = data_use(config, resolve(config), source_sizes=SIZES)
    assert [phase["name"] for phase in use["phases"]] == ["trunk", "with_code"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 3}, "config.seed = 3 has no effect beside config.replicates"),
        ({"replicates": (*SEEDS, SEEDS[1])}, r"replicates\[3\] has the seeds of .*replicates\[1\]"),
        ({"num_replicates": {"plain": 4}}, "num_replicates.plain = 4: .*has 3 entries"),
        ({"num_replicates": {"plan": 2}}, "config.num_replicates.plan.*plain"),
    ],
)
def test_mistakes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(dataclasses.replace(study(), **changes))


def test_replicates_that_share_a_seed_are_named() -> None:
    pairs = ((0, 0), (0, 1), (1, 1))
    config = study(
        tuple(ReplicateConfig(initialization_seed=i, data_order_seed=o) for i, o in pairs)
    )
    first, second = shared_seeds(config)
    assert first.startswith("replicates 0, 1 share initialization seed 0 and are counted as ind")
    assert second.startswith("replicates 1, 2 share data order seed 1 and are counted as indepe")
    assert shared_seeds(dataclasses.replace(config, replicates=SEEDS)) == []
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={})
    console = io.StringIO()
    print_plan(Console(file=console, width=400), plan)
    assert f"{first}\n{second}\n" in console.getvalue()


def test_an_initialization_seed_that_decides_nothing_is_not_named() -> None:
    """All replicates continue from one trunk, which alone starts from random parameters."""
    pairs = tuple(ReplicateConfig(initialization_seed=0, data_order_seed=i) for i in range(3))
    config = study(pairs)
    assert len(shared_seeds(config)) == 1
    trunk = dataclasses.replace(config.phases["trunk"], is_replicated=False)
    from_one = dataclasses.replace(config, phases={**config.phases, "trunk": trunk})
    assert shared_seeds(from_one) == []
