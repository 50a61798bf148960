"""The experiment files that need machines: they parse, and say what they claim."""

import dataclasses
from pathlib import Path

from codepretrain.config.load import load_study
from codepretrain.model.presets import preset

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def test_scale_differs_from_initialization_in_the_model_alone():
    small = load_study(EXPERIMENTS / "initialization.py")
    large = load_study(EXPERIMENTS / "scale.py")
    assert large.model == preset("2_8b")
    assert dataclasses.replace(large, name=small.name, model=small.model) == small
