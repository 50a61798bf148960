"""The tiny study with HumanEval, MBPP and one task of the harness."""

import dataclasses
from pathlib import Path

from ml_collections import ConfigDict

from codepretrain.config.load import load_study, to_config_dict
from codepretrain.config.schema import EvaluatorConfig


def get_config() -> ConfigDict:
    evals = {
        "suite": EvaluatorConfig(kind="harness", options={"tasks": "boolq"}),
        "human_eval": EvaluatorConfig(
            kind="code_generation", options={"task": "human_eval", "max_new_tokens": 8}
        ),
        "mbpp": EvaluatorConfig(
            kind="code_generation", options={"task": "mbpp", "max_new_tokens": 8}
        ),
    }
    tiny = load_study(Path(__file__).with_name("tiny.py"))
    return to_config_dict(dataclasses.replace(tiny, evals=evals))
