"""The `plan` command: its output, and mistakes in its flags."""

import json
import os
from pathlib import Path

import pytest

from codepretrain.cli.main import main

STUDY = Path(__file__).parents[2] / "experiments" / "initialization.py"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology=v5e"], "expected chip:AxB"),
        (["--topology=v9x:4x4"], "there is no TPU 'v9x' to plan for"),
        (["--search"], "--search and --slices need a --topology, such as v5e:16x16"),
        (["--topology=v5e:4x4", "--slices=0"], "--slices: expected 1 or more"),
    ],
)
def test_mistakes(capsys, flags, message):
    assert main(["plan", "--config", str(STUDY), *flags]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert message in told


def test_without_the_compiler(capsys, monkeypatch):
    monkeypatch.setattr("codepretrain.podplan.topology.importlib.util.find_spec", lambda name: None)
    assert main(["plan", "--config", str(STUDY), "--topology=v5e:4x4", "--json"]) == 2
    assert "pip install 'codepretrain[tpu]'" in capsys.readouterr().err


def test_a_pod_receives_the_tokens_of_each_phase_once(capsys, monkeypatch):
    """The topology's environment is set, and the command can be repeated as JSON."""
    received = {}

    def plan_pod(config, topology, phase_tokens, **options):
        received.update(topology=topology.name, tokens=phase_tokens, **options)
        return {"step": {}}

    monkeypatch.setattr("codepretrain.podplan.topology.check_compiler", lambda: None)
    monkeypatch.setattr("codepretrain.podplan.plan_pod.plan_pod", plan_pod)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    arguments = ["plan", "--config", str(STUDY), "--topology=v5e:4x4", "--json", "--search"]
    assert main(arguments) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["pod"] == {"step": {}}
    assert received["topology"] == "v5e:4x4"
    assert received["searches"]
    assert not received["prints"]
    assert received["command"][-1] == "--json"
    assert "--search" not in received["command"]
    tokens = {phase["name"]: phase["tokens"] for phase in plan["phases"]}
    assert received["tokens"] == tokens
