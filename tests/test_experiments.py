"""The experiment files that need machines: they parse, and say what they claim."""

import dataclasses
from pathlib import Path

from codepretrain.config_file import load_study
from codepretrain.model.shapes import shape

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def test_scale_differs_from_initialization_in_the_model_alone():
    small = load_study(EXPERIMENTS / "initialization.py")
    large = load_study(EXPERIMENTS / "scale.py")
    assert large.model == shape("2_8b")
    assert dataclasses.replace(large, name=small.name, model=small.model) == small
