"""Small studies for tests, built in code: no files, no data, a tiny model."""

import copy
from typing import Any

from codepretrain.config.parse import parse
from codepretrain.config.schema import (
    DataConfig,
    ModelConfig,
    PhaseConfig,
    ScheduleConfig,
    StudyConfig,
    TrainingConfig,
)

BATCH_SIZE, MAX_SEQ_LEN = 4, 64
STEP_TOKENS = BATCH_SIZE * MAX_SEQ_LEN
CONSTANT = ScheduleConfig(shape="constant", peak_learning_rate=1e-3)

# A trunk and a cooldown, as nested values that `parse` accepts and tests may alter.
SMALL_VALUES: dict[str, Any] = {
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
        "max_seq_len": MAX_SEQ_LEN,
        "tokenizer": {"vocab_size": 512},
        "sources": {
            "text": {"reader": "python_prose", "kind": "text"},
            "code": {"reader": "python_code", "kind": "code"},
        },
    },
    "training": {"batch_size": BATCH_SIZE},
    "phases": {
        "trunk": {
            "tokens": 100 * STEP_TOKENS,
            "mixture": {"text": 1.0},
            "schedule": {"shape": "constant", "peak_learning_rate": 1e-3},
        },
        "anneal": {
            "parent": "trunk",
            "tokens": 10 * STEP_TOKENS,
            "mixture": {"text": 0.8, "code": 0.2},
            "schedule": {"shape": "linear", "end_learning_rate": 1e-6},
        },
    },
    "variants": {"annealed": "anneal"},
}


# The smallest model whose dims differ and can be split in two.
TINY_MODEL = ModelConfig(
    vocab_size=64,
    d_model=16,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=4,
    d_ff=32,
)


# For tests of prepared data, which does not depend on the model.
DATA_MODEL = ModelConfig(
    vocab_size=512, d_model=8, num_layers=1, num_heads=2, num_kv_heads=2, head_dim=4, d_ff=16
)


def bare_study(model: ModelConfig = TINY_MODEL, **changes: Any) -> StudyConfig:
    """Returns a model and batches of 8 rows of 8 tokens, without sources and phases."""
    values = {
        "name": "test",
        "data": DataConfig(sources={}, max_seq_len=8),
        "training": TrainingConfig(batch_size=8),
        "phases": {},
        "variants": {},
    }
    return StudyConfig(model=model, **{**values, **changes})


def small_values(**changes: Any) -> dict[str, Any]:
    """Returns a copy of `SMALL_VALUES` with its top-level entries replaced by `changes`."""
    return {**copy.deepcopy(SMALL_VALUES), **changes}


def small_study(phases: dict[str, PhaseConfig] | None = None, **changes: Any) -> StudyConfig:
    """Returns the small study, or the same with other phases; its last phase is the one variant.

    Steps are of `STEP_TOKENS` tokens: `BATCH_SIZE` rows of `MAX_SEQ_LEN`.
    """
    if phases is not None:
        changes |= {"phases": phases, "variants": {"only": list(phases)[-1]}}
    values = small_values(**changes)
    phases = values.pop("phases")
    config = parse(StudyConfig, {**values, "phases": {}})
    built = {
        name: phase if isinstance(phase, PhaseConfig) else parse(PhaseConfig, phase)
        for name, phase in phases.items()
    }
    return StudyConfig(**{**vars(config), "phases": built})
