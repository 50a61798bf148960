"""Repetition by hand: along paths, through restarts and branches."""

import json
from typing import Any

import pytest

from codepretrain.config.schema import MixtureChange, PhaseConfig, StudyConfig
from codepretrain.study.data_use import data_use
from codepretrain.study.describe import describe
from codepretrain.study.graph import resolve
from codepretrain.study.source_sizes import SourceSize
from tests.configs import CONSTANT, STEP_TOKENS, small_study

SOURCE = {"reader": "python_prose", "kind": "text", "max_epochs": 3.0}


def size(steps: float | None) -> SourceSize:
    tokens = None if steps is None else int(steps * STEP_TOKENS)
    return SourceSize(identity="x", num_rows=None, num_tokens=tokens)


def phase(steps: int, mixture: dict[str, float], **fields: Any) -> PhaseConfig:
    return PhaseConfig(tokens=steps * STEP_TOKENS, mixture=mixture, schedule=CONSTANT, **fields)


def use(phases: dict[str, PhaseConfig], **sizes: float | None) -> dict[str, Any]:
    config: StudyConfig = small_study(
        phases,
        data={
            "max_seq_len": 64,
            "tokenizer": {"vocab_size": 512},
            "sources": dict.fromkeys(sizes, SOURCE),
        },
    )
    source_sizes = {name: size(steps) for name, steps in sizes.items()}
    resolved = resolve(config)
    found = data_use(config, resolved, source_sizes=source_sizes)
    assert json.loads(json.dumps(found)) == found
    plan = describe(config, resolved, source_sizes=source_sizes, imports={})
    for planned in plan["phases"]:
        [entry] = [p for p in found["phases"] if p["name"] == planned["name"]]
        assert {s: e["tokens"] for s, e in entry["sources"].items()} == planned["tokens_per_source"]
        assert {s: e["epochs"] for s, e in entry["sources"].items()} == planned["epochs_per_source"]
    return found


def test_a_source_that_the_last_phase_does_not_read_counts_along_the_path() -> None:
    """`plan` names at the end of a phase only what the phase reads."""
    found = use(
        {"first": phase(8, {"a": 3.0, "b": 1.0}), "last": phase(4, {"b": 1.0}, parent="first")},
        a=12,
        b=4,
    )
    assert found["available"] == {"a": 12 * STEP_TOKENS, "b": 4 * STEP_TOKENS}
    first, last = found["phases"]
    assert first["sources"]["a"] == {"tokens": 6 * STEP_TOKENS, "share": 0.75, "epochs": 0.5}
    assert (last["parent"], last["sources"]["b"]["epochs"]) == ("first", 1.0)
    variant = found["variants"][-1]
    assert variant["phases"] == ["first", "last"]
    assert variant["tokens"] == 12 * STEP_TOKENS
    assert variant["sources"] == {
        "a": {"tokens": 6 * STEP_TOKENS, "epochs": 0.5, "most_reads": 1, "max_epochs": 3.0},
        "b": {"tokens": 6 * STEP_TOKENS, "epochs": 1.5, "most_reads": 2, "max_epochs": 3.0},
    }


def test_a_restart_reads_the_same_rows_again() -> None:
    found = use(
        {
            "first": phase(4, {"a": 1.0}),
            "last": phase(2, {"a": 1.0}, parent="first", data_order="restart"),
        },
        a=8,
    )
    assert found["variants"][-1]["sources"]["a"]["epochs"] == 0.75
    assert found["variants"][-1]["sources"]["a"]["most_reads"] == 2


def test_a_branch_counts_what_its_parent_read_before_it() -> None:
    found = use(
        {
            "first": phase(8, {"a": 1.0}),
            "last": phase(2, {"a": 1.0}, parent="first", parent_tokens=3 * STEP_TOKENS),
        },
        a=10,
    )
    assert found["variants"][-1]["sources"]["a"]["epochs"] == 0.5
    assert found["variants"][-1]["tokens"] == 5 * STEP_TOKENS


def test_a_mixture_that_changes_is_counted_over_the_phase() -> None:
    change = MixtureChange(at_tokens=2 * STEP_TOKENS, weights={"b": 1.0})
    found = use({"only": phase(8, {"a": 1.0}, mixture_changes=(change,))}, a=2, b=3)
    assert {s: e["share"] for s, e in found["phases"][0]["sources"].items()} == {
        "a": 0.25,
        "b": 0.75,
    }
    assert found["variants"][-1]["sources"]["b"]["epochs"] == 2.0


@pytest.mark.parametrize("held", [None, 0])
def test_a_source_of_unknown_size_or_without_rows(held: float | None) -> None:
    found = use({"only": phase(2, {"a": 1.0})}, a=held)
    assert found["phases"][0]["sources"]["a"]["epochs"] is None
    assert found["variants"][-1]["sources"]["a"]["most_reads"] is None
