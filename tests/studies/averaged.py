"""The tiny study with averages: of two anneals, of a trunk's checkpoints, and a phase after one."""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.parse import parse
from codepretrain.config.schema import (
    AverageConfig,
    CheckpointConfig,
    EvaluatorConfig,
    PhaseConfig,
    ScheduleConfig,
    StudyConfig,
)
from tests.studies import tiny

CONSTANT = ScheduleConfig(shape="constant", peak_learning_rate=1e-3)
ANNEAL = PhaseConfig(
    parent="trunk",
    tokens=4 * tiny.STEP_TOKENS,
    mixture={"text": 0.5, "code": 0.5},
    schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
)


def average(*members: str, **fields: Any) -> PhaseConfig:
    return PhaseConfig(kind="average", average=AverageConfig(members=members, **fields))


def get_config() -> ConfigDict:
    study = parse(StudyConfig, tiny.get_config().to_dict())
    return to_config_dict(
        dataclasses.replace(
            study,
            checkpoint=CheckpointConfig(permanent_interval_steps=4),
            evals={"validation": EvaluatorConfig(kind="validation_loss", num_examples=16)},
            phases={
                "trunk": PhaseConfig(
                    tokens=14 * tiny.STEP_TOKENS,
                    mixture={"text": 0.75, "code": 0.25},
                    schedule=tiny.PEAK,
                ),
                "anneal_a": ANNEAL,
                "anneal_b": dataclasses.replace(ANNEAL, mixture={"code": 1.0}),
                "soup": average("anneal_a", "anneal_b"),
                "weighted": average("anneal_a", "soup", weights=(1.0, 3.0)),
                "newest": average("trunk", last_k=3),
                "moving": average("trunk", ema_decay=0.5),
                "after": dataclasses.replace(
                    ANNEAL, parent="soup", schedule=CONSTANT, carry_optimizer=False
                ),
            },
            variants={"plain": "anneal_a", "souped": "soup", "newest": "newest", "after": "after"},
            baseline="plain",
        )
    )
