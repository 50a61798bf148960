"""Small studies for tests, built in code: no files, no data, a tiny model."""

import copy
from typing import Any

from codepretrain.config.parse import parse
from codepretrain.config.schema import PhaseConfig, ScheduleConfig, StudyConfig

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
