"""A fingerprint changes with everything that changes a result and with nothing else."""

import dataclasses
from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import MixtureChange, PhaseConfig, ScheduleConfig
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import resolve
from tests.configs import CONSTANT, STEP_TOKENS, small_study

ROWS = {s: s for s in ("text", "web_code", "markup", "text_quality", "text_math", "text_instruct")}
PHASE = "code_text_continued"


def fingerprint(*overrides: str, rows: dict[str, str] = ROWS) -> str:
    flags = [f"--config.{override}" for override in overrides]
    config = load_study(Path("experiments/initialization.py"), flags)
    return fingerprints(config, resolve(config), rows=rows, imports={})[PHASE]


@pytest.mark.parametrize(
    "override",
    [
        "replicates=({'initialization_seed': 1, 'data_order_seed': 0},)",
        "replicates=({'initialization_seed': 0, 'data_order_seed': 1},)",
        "model.num_layers=17",
        "model.compute_dtype=float32",
        "training.batch_size=256",
        "training.z_loss_coefficient=0",
        "training.mask_documents=False",
        "optimizer.beta2=0.9",
        "optimizer.weight_decay=0.2",
        "phases.code_text_continued.tokens=100e9",
        "phases.code_text_continued.mixture.text=0.8",
        "phases.code_text_continued.schedule.shape=linear",
        "phases.code_text_continued.schedule.end_learning_rate=1e-5",
        "phases.code_text_continued.carry_optimizer=True",
        "phases.code_text_continued.data_order=restart",
        "phases.code_text_continued.parent_tokens=100e9",
        "phases.code_text_continued.weight_decay=0.3",
        "phases.code_init.schedule.warmup_steps=10",
    ],
)
def test_changes_with_what_changes_the_result(override: str) -> None:
    assert fingerprint(override) != fingerprint()


@pytest.mark.parametrize(
    "override",
    [
        "name=renamed",
        "execution.num_microbatches=4",
        "execution.mesh.tensor=2",
        "execution.remat_policy=none",
        "execution.loss_vocab_block=1024",
        "execution.row_cache_bytes=2e9",
        "checkpoint.temporary_interval_s=1",
        "checkpoint.num_temporary=3",
        "logging.interval_steps=3",
        "evals.validation.num_examples=3",
        "evals.validation.on_failure=continue",
        "training.max_consecutive_skips=3",
        "data.sources.text.max_epochs=3",
        "data.sources.text.num_tokens=600e9",
        "phases.text_cooldown.tokens=20e9",
        # The same thing written in another way.
        "phases.code_text_continued.tokens=200.0001e9",
        "phases.code_text_continued.mixture={'text': 9, 'web_code': 0.8, 'markup': 0.2}",
        "phases.code_text_continued.mixture.text_math=0",
        "phases.code_text_continued.parent_tokens=200e9",
        "phases.code_text_continued.weight_decay=0.1",
        # A constant start that no warm-up uses would not count, but this phase warms up from 0.
        "phases.code_text_continued.schedule.start_learning_rate=0",
    ],
)
def test_does_not_change_with_anything_else(override: str) -> None:
    assert fingerprint(override) == fingerprint()


def test_follows_the_rows_of_the_phase_and_its_ancestors() -> None:
    assert fingerprint(rows={**ROWS, "markup": "other"}) != fingerprint()
    assert fingerprint(rows={**ROWS, "text_math": "other"}) == fingerprint()


def test_follows_the_imported_weights_not_their_name() -> None:
    def with_import(name: str, weights: str) -> dict[str, str]:
        flags = [f"--config.phases.code_init.initial_checkpoint={name}"]
        config = load_study(Path("experiments/initialization.py"), flags)
        return fingerprints(config, resolve(config), rows=ROWS, imports={name: weights})

    base = with_import("base", "weights:1")
    assert base == with_import("other", "weights:1")
    assert base["code_init"] != with_import("base", "weights:2")["code_init"]
    assert base["code_text_continued"] not in (
        with_import("base", "weights:2")["code_text_continued"],
        fingerprint(),
    )


# --- branches of a trunk that changes ----------------------------------------------------------

COSINE = ScheduleConfig(shape="cosine", peak_learning_rate=1e-3, end_learning_rate=1e-4)
STABLE = ScheduleConfig(
    shape="linear", peak_learning_rate=1e-3, end_learning_rate=0.0, decay_fraction=0.2
)


def branched(
    trunk_steps: int,
    schedule: ScheduleConfig = CONSTANT,
    *,
    mixture: dict[str, float] | None = None,
    changes: tuple[MixtureChange, ...] = (),
    branch_step: int | None = 20,
) -> dict[str, str]:
    """The fingerprints of a trunk, its branch and the branch's own child."""
    trunk = PhaseConfig(
        tokens=trunk_steps * STEP_TOKENS,
        mixture=mixture or {"text": 1.0},
        mixture_changes=changes,
        schedule=schedule,
    )
    branch = PhaseConfig(
        parent="trunk",
        parent_tokens=branch_step and branch_step * STEP_TOKENS,
        tokens=5 * STEP_TOKENS,
        mixture={"code": 1.0},
        schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
    )
    child = PhaseConfig(
        parent="branch", tokens=5 * STEP_TOKENS, mixture={"text": 1.0}, schedule=CONSTANT
    )
    config = small_study({"trunk": trunk, "branch": branch, "child": child})
    return fingerprints(config, resolve(config), rows=ROWS | {"code": "code"}, imports={})


def children(prints: dict[str, str]) -> tuple[str, str]:
    return prints["branch"], prints["child"]


def test_extending_a_constant_trunk_keeps_its_children() -> None:
    short, long = branched(40), branched(80)
    assert short["trunk"] != long["trunk"]
    assert children(short) == children(long)


def test_a_branch_at_the_end_of_a_trunk_is_one_within_the_extended_trunk() -> None:
    assert children(branched(20, branch_step=None)) == children(branched(80, branch_step=20))


def test_the_stable_part_of_a_trunk_may_be_extended() -> None:
    assert children(branched(40, STABLE)) == children(branched(80, STABLE))
    # From step 31 of 40 on the rate decays.
    assert children(branched(40, STABLE, branch_step=33)) != children(
        branched(80, STABLE, branch_step=33)
    )


def test_extending_a_cosine_trunk_changes_its_children() -> None:
    short, long = branched(40, COSINE), branched(80, COSINE)
    assert not set(children(short)) & set(children(long))


def test_a_mixture_that_changes_after_the_branch_keeps_the_children() -> None:
    def change(at: int) -> tuple[MixtureChange, ...]:
        return (MixtureChange(at_tokens=at * STEP_TOKENS, weights={"code": 1.0}),)

    assert children(branched(40, changes=change(20))) == children(branched(40))
    assert children(branched(40, changes=change(30))) == children(branched(40))
    assert not set(children(branched(40, changes=change(19)))) & set(children(branched(40)))


def test_whole_shares_keep_the_order_of_an_extended_trunk_and_others_change_it() -> None:
    half = {"text": 0.5, "code": 0.5}
    assert children(branched(40, mixture=half)) == children(branched(80, mixture=half))
    # 160 rows are 98 and 62, 320 rows are 195 and 125: another order within the first 80.
    uneven = {"text": 0.61, "code": 0.39}
    assert children(branched(40, mixture=uneven)) != children(branched(80, mixture=uneven))


def test_a_change_before_the_branch_changes_the_children() -> None:
    other_rate = dataclasses.replace(CONSTANT, peak_learning_rate=2e-3)
    warmed_up = dataclasses.replace(CONSTANT, warmup_steps=1)
    found = [
        branched(40),
        branched(40, other_rate),
        branched(40, warmed_up),
        branched(40, mixture={"code": 1.0}),
        branched(40, branch_step=19),
    ]
    assert len({prints["branch"] for prints in found}) == len(found)
    assert len({prints["child"] for prints in found}) == len(found)
