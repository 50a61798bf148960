"""The plan's numbers, and the repetition cap along a whole path."""

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from codepretrain.config.schema import MixtureChange, PhaseConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.describe import check_caps, describe
from codepretrain.study.describe_text import print_plan
from codepretrain.study.graph import resolve
from codepretrain.study.source_sizes import SourceSize
from tests.configs import CONSTANT, STEP_TOKENS, small_study

HELD = 10  # steps of tokens that the source `text` holds


def study(cap: float, **phases: PhaseConfig) -> StudyConfig:
    text = {"reader": "python_prose", "kind": "text", "max_epochs": cap}
    return small_study(
        phases,
        data={"max_seq_len": 64, "tokenizer": {"vocab_size": 512}, "sources": {"text": text}},
    )


def phase(steps: float, parent: str | None = None, **fields: Any) -> PhaseConfig:
    return PhaseConfig(
        tokens=int(steps * STEP_TOKENS),
        mixture={"text": 1.0},
        schedule=CONSTANT,
        parent=parent,
        **fields,
    )


SIZES = {
    "text": SourceSize(identity="text", num_rows=HELD * 4, num_tokens=HELD * STEP_TOKENS),
}


def check(config: StudyConfig) -> None:
    check_caps(config, resolve(config), source_sizes=SIZES)


def described(config: StudyConfig) -> Mapping[str, dict[str, Any]]:
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={})
    return {entry["name"]: entry for entry in plan["phases"]}


RESTARTED = {
    "first": phase(10),
    "second": phase(10, "first", data_order="restart"),
    "third": phase(10, "second", data_order="restart"),
}


def test_restarts_count_towards_the_cap() -> None:
    """Three epochs of the same rows in the same order: a cap of 1 must not let them pass."""
    with pytest.raises(UserError, match=r"phase 'second' .* 5,120 tokens .* source 'text'"):
        check(study(1.0, **RESTARTED))
    with pytest.raises(UserError, match="phase 'third'"):
        check(study(2.0, **RESTARTED))
    check(study(3.0, **RESTARTED))


def test_restarts_of_half_an_epoch_read_the_same_half_again() -> None:
    """1.5 epochs on average, but half of the rows three times: more than a cap of 2 allows."""
    halves = {
        "first": phase(5),
        "second": phase(5, "first", data_order="restart"),
        "third": phase(5, "second", data_order="restart"),
    }
    with pytest.raises(UserError, match=r"phase 'third' .* rows of source 'text' 3 times"):
        check(study(2.0, **halves))
    check(study(3.0, **halves))
    continued = {name: dataclasses.replace(p, data_order="continue") for name, p in halves.items()}
    check(study(1.5, **continued))


def test_a_branch_counts_what_its_path_has_read_and_no_more() -> None:
    """The parent reads 10 steps; the branch leaves it after 4 and starts again."""
    config = study(
        2.0,
        trunk=phase(10),
        branch=phase(6, "trunk", parent_tokens=4 * STEP_TOKENS, data_order="restart"),
    )
    check(config)
    assert described(config)["branch"]["epochs_at_end"] == {"text": 1.0}


def test_epochs_at_the_end_count_every_row_of_the_path() -> None:
    plan = described(study(3.0, **RESTARTED))
    assert [plan[name]["epochs_per_source"]["text"] for name in RESTARTED] == [1, 1, 1]
    assert [plan[name]["epochs_at_end"]["text"] for name in RESTARTED] == [1, 2, 3]
    assert [plan[name]["most_reads_of_a_row"]["text"] for name in RESTARTED] == [1, 2, 3]


def test_a_fingerprint_is_settled_once_the_rows_before_the_branch_are_prepared() -> None:
    """The trunk turns to code after the branch; code is not prepared."""
    change = MixtureChange(at_tokens=6 * STEP_TOKENS, weights={"code": 1.0})
    trunk = dataclasses.replace(phase(10), mixture_changes=(change,))
    branch = phase(4, "trunk", parent_tokens=4 * STEP_TOKENS)
    config = small_study({"trunk": trunk, "branch": branch})
    sizes = SIZES | {"code": SourceSize(identity="settings:x", num_rows=None, num_tokens=None)}
    plan = describe(config, resolve(config), source_sizes=sizes, imports={})
    assert [p["fingerprint_is_provisional"] for p in plan["phases"]] == [True, False]


def test_print_plan_says_what_is_rounded_and_what_is_not_read() -> None:
    trunk, branch = phase(10.25), phase(4, "trunk", parent_tokens=4 * STEP_TOKENS + 9)
    config = small_study({"trunk": trunk, "branch": branch})
    sizes = SIZES | {"code": SourceSize(identity="settings:x", num_rows=None, num_tokens=None)}
    printed = io.StringIO()
    plan = describe(config, resolve(config), source_sizes=sizes, imports={})
    print_plan(Console(file=printed, width=200), plan)
    lines = printed.getvalue().splitlines()
    assert "budgets rounded to whole steps (tokens): trunk -64" in lines
    assert "branch points rounded to whole steps (tokens): branch -9" in lines
    assert "sources that no mixture reads: code" in lines


def test_print_plan_says_which_phase_reads_its_sources_again() -> None:
    config = study(3, **RESTARTED)
    plan = describe(config, resolve(config), source_sizes=SIZES, imports={})
    assert [entry["data_order"] for entry in plan["phases"]] == ["continue", "restart", "restart"]
    printed = io.StringIO()
    print_plan(Console(file=printed, width=200), plan)
    assert "from first at its end, each source from its beginning, 10 steps" in printed.getvalue()


def test_print_plan() -> None:
    """The numbers of a path: a restart, an alias, a provisional fingerprint."""
    config = study(3.0, **RESTARTED, same=phase(10))
    sizes = {"text": SourceSize(identity="settings:x", num_rows=None, num_tokens=10 * STEP_TOKENS)}
    plan = describe(config, resolve(config), source_sizes=sizes, imports={})
    printed = io.StringIO()
    print_plan(Console(file=printed, width=200), plan)
    lines = printed.getvalue().splitlines()
    assert lines[0] == "study small"
    assert lines[2].startswith("first (also same)  ")
    assert lines[2].endswith("?")
    assert lines[3] == (
        "  from random parameters, 10 steps, 2.56k tokens, learning rate 0.001 → 0.001 → 0.001"
    )
    assert lines[4] == "  text 2.56k (1.00 epochs)"
    assert "  text 2.56k (1.00 epochs, 2.00 with its ancestors)" in lines
    assert "variant only: first" in lines
