"""A fingerprint changes with everything that changes a result and with nothing else."""

from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import resolve

ROWS = {s: s for s in ("text", "web_code", "markup", "text_quality", "text_math", "text_instruct")}
PHASE = "code_text_continued"


def fingerprint(*overrides: str, rows: dict[str, str] = ROWS) -> str:
    flags = [f"--config.{override}" for override in overrides]
    config = load_study(Path("experiments/initialization.py"), flags)
    return fingerprints(config, resolve(config), rows=rows, imports={})[PHASE]


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
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
        "checkpoint.temporary_interval_s=1",
        "checkpoint.num_temporary=3",
        "logging.interval_steps=3",
        "evals.validation.num_examples=3",
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
