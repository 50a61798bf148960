"""The tiny study with two replicates; one branch has a second name, so that they share one run."""

import dataclasses

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.parse import parse
from codepretrain.config.schema import (
    ContrastConfig,
    PhaseConfig,
    ReplicateConfig,
    ScheduleConfig,
    StudyConfig,
)
from tests.studies import tiny

PHASES = {
    "trunk": PhaseConfig(
        tokens=8 * tiny.STEP_TOKENS, mixture={"text": 0.75, "code": 0.25}, schedule=tiny.PEAK
    ),
    "with_code": PhaseConfig(
        parent="trunk",
        parent_tokens=4 * tiny.STEP_TOKENS,
        tokens=4 * tiny.STEP_TOKENS,
        mixture={"code": 1.0},
        schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
    ),
}


def get_config() -> ConfigDict:
    study = parse(StudyConfig, tiny.get_config().to_dict())
    return to_config_dict(
        dataclasses.replace(
            study,
            phases={**PHASES, "with_code_too": PHASES["with_code"]},
            variants={"plain": "trunk", "code": "with_code", "code_too": "with_code_too"},
            baseline="plain",
            replicates=(
                ReplicateConfig(initialization_seed=0, data_order_seed=10),
                ReplicateConfig(initialization_seed=1, data_order_seed=11),
            ),
            contrasts={
                "code": ContrastConfig(
                    variants=("code", "plain"),
                    metric="validation/source/code/nats_per_token",
                    direction="lower",
                    margin=0.1,
                )
            },
        )
    )
