"""Reads `published.json`. Experiment files import it, so it imports nothing of the report."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


def tables() -> Mapping[str, Any]:
    """Returns the published numbers: percent by table, phase and average."""
    text = resources.files("codepretrain.report").joinpath("published.json").read_text("utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found
