"""Hostile values in every field: each is one clear error, or is accepted for a reason."""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from codepretrain.config.parse import parse, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check
from codepretrain.config.values import RULES, leaves
from codepretrain.errors import UserError
from codepretrain.study.describe import describe
from codepretrain.study.graph import resolve
from codepretrain.study.source_sizes import SourceSize
from tests.configs import STEP_TOKENS, small_values

# Numbers and texts that other rules limit: what they refer to, or where they are used.
WITHOUT_RULE = {
    "baseline",
    "variants.*",
    "phases.*.parent",
    "phases.*.schedule.shape",
    "data.sources.*.options.*",
    "data.sources.*.filters.*.options.*",
    "data.deduplication.priority.*",
    "data.deduplication.keep_near.*",
    "evals.*.options.*",
    "evals.*.benchmarks.*",
    "contrasts.*.variants.*",
    "contrasts.*.weights.*",
    "contrasts.*.published_effect",
    "contrasts.*.published_score",
}


def whole_study() -> StudyConfig:
    """The small study with every optional field set, so that all of them are reached."""
    values = small_values()
    source = values["data"]["sources"]["text"]
    source |= {"options": {"max_bytes": 10, "path": "x", "ratio": 0.5}, "num_tokens": 10**9}
    source["filters"] = [{"name": "line_lengths", "options": {"max_mean": 100}}]
    values["data"]["deduplication"] = {"priority": ["text"], "keep_near": ["code"]}
    values["data"]["decontamination"] = {"benchmarks": {"quiz": "quiz.jsonl"}}
    values["data"]["tokenizer"] |= {"path": "tokenizer.json", "training_weights": {"code": 0.5}}
    trunk = values["phases"]["trunk"]
    trunk |= {"initial_checkpoint": "base", "weight_decay": 0.1}
    trunk["schedule"] |= {"start_learning_rate": 0.0, "end_learning_rate": 1e-3}
    trunk["mixture_changes"] = [{"at_tokens": 50 * STEP_TOKENS, "weights": {"code": 1.0}}]
    values["phases"]["anneal"]["parent_tokens"] = 80 * STEP_TOKENS
    averages: dict[str, Any] = {
        "soup": {"members": ["trunk", "anneal"], "weights": [1.0, 3.0]},
        "newest": {"members": ["trunk"], "last_k": 3},
        "ema": {"members": ["trunk"], "ema_decay": 0.5},
    }
    for name, average in averages.items():
        values["phases"][name] = {"kind": "average", "average": average}
    values |= {
        "baseline": "annealed",
        "execution": {
            "mesh": {"data": 1, "fsdp": -1, "tensor": 1},
            "attention_block_q": 64,
            "attention_block_kv": 64,
            "row_cache_bytes": 10**9,
        },
        "checkpoint": {"permanent_interval_steps": 5},
        "averages": {
            "categories": {"text": ["validation", "exam/accuracy"]},
            "totals": {"total": ["text"]},
            "excluded": ["validation"],
        },
        "evals": {
            "validation": {
                "kind": "validation_loss",
                "interval_steps": 5,
                "options": {"x": 0.5},
                "benchmarks": ["quiz"],
            },
            "exam": {"kind": "multiple_choice", "interval_tokens": 5 * STEP_TOKENS},
        },
        "replicates": [{"initialization_seed": i, "data_order_seed": 10 + i} for i in range(2)],
        "num_replicates": {"annealed": 2},
        "variants": {"annealed": "anneal", "trunk": "trunk"},
        "contrasts": {
            "code": {
                "variants": ["annealed", "trunk"],
                "metric": "text",
                "direction": "higher",
                "margin": 0.1,
                "published_effect": 0.2,
                "published_score": 0.4,
            },
            "trend": {
                "weights": {"annealed": 0.5, "trunk": -0.5},
                "metric": "exam",
                "direction": "different",
            },
        },
        "pareto": ["text", "exam"],
        "logging": {"wandb_project": "p"},
        "cost": {"price_per_chip_hour": 1.0},
    }
    return parse(StudyConfig, values)


def replaced(value: Any, keys: list[str], leaf: Any) -> Any:
    """Returns a copy of nested dataclasses, mappings and tuples with one leaf replaced."""
    if not keys:
        return leaf
    key, rest = keys[0], keys[1:]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{key: replaced(getattr(value, key), rest, leaf)})
    if isinstance(value, Mapping):
        return {**value, key: replaced(value[key], rest, leaf)}
    items = list(value)
    items[int(key)] = replaced(items[int(key)], rest, leaf)
    return tuple(items)


def fields(value: Any) -> Iterator[tuple[str, list[str], Any]]:
    for path, pattern, leaf in leaves(value):
        yield pattern, path.replace("[", ".").replace("]", "").split("."), leaf


CONFIG = whole_study()
# What is None is set in another phase: an average has no tokens, and training no average.
FIELDS = [
    (pattern, keys, leaf)
    for pattern, keys, leaf in fields(CONFIG)
    if leaf is not None or keys[0] != "phases"
]


def hostile(leaf: Any) -> list[Any]:
    if isinstance(leaf, bool):
        return []
    if isinstance(leaf, int):
        return [0, -1, 1, 3, -(10**400), 10**400, 2**63, 2**31, 10**15, 2**32 + 1]
    if isinstance(leaf, float):
        return [math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e308, 5e-324, 1e-30, 1.0, 2.5]
    return ["", " ", "\0", "a\nb", "x" * 10_000, "-", "A", "../..", "ü", "\ud800"]


def plan(config: StudyConfig) -> None:
    """What every command does before any work: check, resolve, describe."""
    check(config)
    phases = resolve(config)
    if (
        max(phase.tokens for phase in phases.values()) < 10**6 * config.data.max_seq_len
    ):  # the order itself takes time
        sizes = {s: SourceSize(identity=s, num_rows=9, num_tokens=576) for s in ("code", "text")}
        describe(config, phases, source_sizes=sizes, imports={"base": None})


def test_the_study_that_is_attacked_is_valid() -> None:
    plan(CONFIG)
    assert parse(StudyConfig, to_dict(CONFIG)) == CONFIG


@pytest.mark.parametrize(
    ("keys", "leaf"),
    [pytest.param(keys, leaf, id=".".join(keys)) for _, keys, leaf in FIELDS if leaf is not None],
)
def test_a_hostile_value_is_one_clear_error_or_accepted(keys: list[str], leaf: Any) -> None:
    for value in hostile(leaf):
        try:
            plan(replaced(CONFIG, keys, value))
        except UserError as error:
            message = str(error)
            assert message.isprintable()
            assert len(message) < 600
            assert "config." in message, message
        else:
            assert not isinstance(value, float) or math.isfinite(value)
            assert not isinstance(value, int) or abs(value) < 2**63


def test_numbers_that_are_not_finite_are_refused_everywhere() -> None:
    floats = [keys for _, keys, leaf in FIELDS if isinstance(leaf, float)]
    assert len(floats) > 20
    for keys in floats:
        for value in (math.inf, -math.inf, math.nan):
            path = re.sub(r"\.(\d+)", r"[\1]", ".".join(keys))
            with pytest.raises(UserError) as error:
                check(replaced(CONFIG, keys, value))
            assert str(error.value) == f"config.{path}: expected a finite number, got {value}"


def test_every_number_and_text_of_the_schema_has_a_rule() -> None:
    schema = set(_patterns(StudyConfig, ""))
    assert set(RULES) | WITHOUT_RULE == schema
    assert not set(RULES) & WITHOUT_RULE
    assert schema == {pattern for pattern, _, leaf in FIELDS if not isinstance(leaf, bool)}


def _patterns(hint: Any, path: str) -> Iterator[str]:
    if dataclasses.is_dataclass(hint):
        for name, inner in typing.get_type_hints(hint).items():
            yield from _patterns(inner, f"{path}.{name}".lstrip("."))
    elif typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [m for m in typing.get_args(hint) if m is not types.NoneType]
        yield from _patterns(members[0], path)
    elif typing.get_origin(hint) is tuple:
        yield from _patterns(typing.get_args(hint)[0], f"{path}.*")
    elif typing.get_origin(hint) is not None:
        yield from _patterns(typing.get_args(hint)[1], f"{path}.*")
    elif hint is not bool:
        yield path


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("evals.validation.num_examples", -3, "a whole number from 1 to 2,147,483,647, got -3"),
        ("data.sources.text.num_tokens", 0, "a whole number from 1 to 1,000,000,000,000,000,000"),
        ("data.sources.text.kind", "", "a name of lower-case letters"),
        ("data.max_seq_len", 1, "a whole number from 8 to 16,777,216, got 1"),
        ("phases.trunk.tokens", 10**18, "is too long: expected fewer than 274,877,906,688"),
        ("phases.trunk.tokens", 10**400, "that fits into 64 bits, got a whole number of 1,329 b"),
        ("phases.trunk.mixture.text", 1e308, "a weight of 0, or from 1e-9 to 1e15, got 1e+308"),
        ("model.compute_dtype", "float16", "expected one of bfloat16, float32, got 'float16'"),
        ("data.tokenizer.path", "a\0b", "printable characters, got 'a\\x00b'"),
        ("seed", 2**32, "a whole number from 0 to 4,294,967,295, got 4294967296"),
    ],
)
def test_messages(keys: str, value: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        check(replaced(CONFIG, keys.split("."), value))
    assert str(error.value).startswith(f"config.{keys}")
    assert message in str(error.value)
