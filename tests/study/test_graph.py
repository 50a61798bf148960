"""The study graph: budgets, branches, cursors, rates, and Table 2 of the paper to the row."""

import dataclasses
from typing import Any

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.parse import parse
from codepretrain.config.schema import MixtureChange, PhaseConfig, ScheduleConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.graph import branch_steps, resolve, row_order

CONSTANT = ScheduleConfig(shape="constant", peak_learning_rate=1e-3)
STEP = 4 * 64  # batch of 4 rows of 64 tokens


def small_study(**phases: PhaseConfig) -> StudyConfig:
    base: dict[str, Any] = {
        "name": "small",
        "model": {
            "vocab_size": 512,
            "d_model": 16,
            "num_layers": 2,
            "num_heads": 2,
            "num_kv_heads": 1,
            "head_dim": 8,
            "d_ff": 32,
        },
        "data": {
            "max_seq_len": 64,
            "tokenizer": {"vocab_size": 512},
            "sources": {s: {"reader": "jsonl", "kind": "text"} for s in ("code", "text")},
        },
        "training": {"batch_size": 4},
        "phases": {},
        "variants": {"only": list(phases)[-1]},
    }
    return dataclasses.replace(parse(StudyConfig, base), phases=phases)


def test_budgets_become_the_nearest_whole_steps() -> None:
    for tokens, steps in (
        (STEP, 1),
        (STEP * 3 // 2, 2),
        (STEP * 3 // 2 - 1, 1),
        (STEP * 10 + 9, 10),
    ):
        phase = PhaseConfig(tokens=tokens, mixture={"text": 1}, schedule=CONSTANT)
        assert resolve(small_study(a=phase))["a"].num_steps == steps


def test_children_start_where_the_parent_stopped_or_branched() -> None:
    trunk = PhaseConfig(tokens=STEP * 10, mixture={"text": 3, "code": 1}, schedule=CONSTANT)
    child = PhaseConfig(parent="trunk", tokens=STEP, mixture={"code": 1}, schedule=CONSTANT)
    phases = resolve(
        small_study(
            trunk=trunk,
            at_end=child,
            halfway=dataclasses.replace(child, parent_tokens=STEP * 5),
            replayed=dataclasses.replace(child, data_order="restart"),
        )
    )
    assert phases["at_end"].start_ordinals == {"text": 30, "code": 10}
    assert phases["halfway"].start_ordinals == {"text": 15, "code": 5}
    assert phases["replayed"].start_ordinals == {}
    assert phases["halfway"].parent_step == 5
    assert phases["halfway"].tokens_before == STEP * 5
    assert branch_steps(phases, "trunk") == {5, 10}
    assert branch_steps(phases, "at_end") == {1}


def test_mixture_changes_between_steps() -> None:
    change = MixtureChange(at_tokens=STEP * 4, weights={"code": 1})
    phase = PhaseConfig(
        tokens=STEP * 10,
        mixture={"text": 1, "code": 0},
        schedule=CONSTANT,
        mixture_changes=(change,),
    )
    resolved = resolve(small_study(a=phase))["a"]
    assert resolved.rows_per_source() == {"text": 16, "code": 24}
    order = row_order(resolved, rows_available={"text": 100, "code": 100})
    assert order.counts(16) == {"text": 16, "code": 0}


def test_a_cooldown_starts_from_where_the_parent_stood() -> None:
    trunk = PhaseConfig(
        tokens=STEP * 11,
        mixture={"text": 1},
        schedule=ScheduleConfig(shape="linear", peak_learning_rate=1.0, end_learning_rate=0.0),
    )
    anneal = ScheduleConfig(shape="linear", end_learning_rate=1e-6)
    cooldown = PhaseConfig(
        parent="trunk",
        parent_tokens=STEP * 6,
        tokens=STEP * 5,
        mixture={"text": 1},
        schedule=anneal,
    )
    phase = resolve(small_study(trunk=trunk, cooldown=cooldown))["cooldown"]
    assert phase.learning_rate(0) == 0.5  # the parent's sixth update, step 5 of 0 … 10
    assert phase.learning_rate(4) == 1e-6


def test_errors_name_the_phase() -> None:
    too_long = dataclasses.replace(CONSTANT, warmup_steps=99)
    phase = PhaseConfig(tokens=STEP, mixture={"text": 1}, schedule=too_long)
    with pytest.raises(UserError, match=r"config.phases.a.schedule.warmup_steps is 99, but"):
        resolve(small_study(a=phase))
    rare = PhaseConfig(tokens=STEP, mixture={"text": 1, "code": 1e-6}, schedule=CONSTANT)
    with pytest.raises(UserError, match=r"config.phases.a.mixture: source 'code'"):
        resolve(small_study(a=rare))


def test_table_2_of_the_paper() -> None:
    phases = resolve(load_study("experiments/initialization.py"))
    rows = 512
    text, web, markup = "text", "web_code", "markup"
    published = {  # billions of tokens
        "text_pretrain": {text: 400},
        "balanced_pretrain": {text: 200, web: 160, markup: 40},
        "balanced_init": {text: 100, web: 80, markup: 20},
        "balanced_text_continued": {text: 180, web: 16, markup: 4},
        "code_init": {web: 160, markup: 40},
        "code_text_continued": {text: 180, web: 16, markup: 4},
    }
    for name, tokens in published.items():
        phase = phases[name]
        total = sum(tokens.values())
        assert phase.num_steps == {400: 95_367, 200: 47_684}[total]
        assert phase.config.schedule.warmup_steps == 1325
        counts = phase.rows_per_source()
        assert counts.keys() == tokens.keys()
        for source, billions in tokens.items():
            assert abs(counts[source] - phase.num_rows * billions / total) < 1
            # The budget itself is met to half a step, its share of it to a row more.
            assert abs(counts[source] * 8192 - billions * 1e9) < (rows / 2 + 1) * 8192
    cooldowns = [phase for name, phase in phases.items() if name.endswith("cooldown")]
    assert len(cooldowns) == 4
    for phase in cooldowns:
        counts = phase.rows_per_source()
        assert phase.num_steps == 9_537
        assert counts["web_code"] == round(phase.num_rows * 0.2)
        assert (
            sum(n for s, n in counts.items() if s.startswith("text"))
            == phase.num_rows - counts[web]
        )
        assert phase.learning_rate(0) == phase.parent.learning_rate(phase.parent.num_steps - 1)
        assert phase.learning_rate(phase.num_steps - 1) == 1e-6
