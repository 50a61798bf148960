"""Two phases that do not depend on each other: the tiny study's trunk on two mixtures."""

import dataclasses
from pathlib import Path

from ml_collections import ConfigDict

from codepretrain.config.load import load_study, to_config_dict

MIXTURES = {"prose": {"text": 0.7, "code": 0.3}, "program": {"text": 0.3, "code": 0.7}}


def get_config() -> ConfigDict:
    tiny = load_study(Path(__file__).with_name("tiny.py"))
    trunk = tiny.phases["trunk"]
    return to_config_dict(
        dataclasses.replace(
            tiny,
            name="two_trunks",
            phases={
                name: dataclasses.replace(trunk, mixture=mixture)
                for name, mixture in MIXTURES.items()
            },
            variants={name: name for name in MIXTURES},
            baseline="prose",
        )
    )
