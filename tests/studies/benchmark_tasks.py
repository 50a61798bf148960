"""The tiny study with an evaluation on tasks of the harness: boolq and triviaqa."""

import dataclasses
from pathlib import Path

from ml_collections import ConfigDict

from codepretrain.config.load import load_study, to_config_dict
from codepretrain.config.schema import EvaluatorConfig


def get_config() -> ConfigDict:
    suite = EvaluatorConfig(
        kind="harness",
        num_examples=100,
        options={"tasks": "boolq,triviaqa", "max_new_tokens": 8},
    )
    tiny = load_study(Path(__file__).with_name("tiny.py"))
    return to_config_dict(dataclasses.replace(tiny, evals={"suite": suite}))
