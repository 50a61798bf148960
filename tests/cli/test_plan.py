"""The `plan` command: its JSON, shared phases, mistakes in its flags, an unreadable workdir."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY


def test_plan_prints_the_documented_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # a plan needs no data on disk
    assert main(["plan", "--config", str(ROOT / "experiments/initialization.py"), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["study"] == "initialization"
    names = ("text_only", "balanced_only", "balanced_text", "code_text")
    assert set(plan["variants"]) == {*names, *(f"{name}_trunk" for name in names)}
    phases = {phase["name"]: phase for phase in plan["phases"]}
    cooldown = phases["code_text_cooldown"]
    assert cooldown["parent"] == "code_text_continued"
    assert cooldown["steps"] == 9537
    assert cooldown["learning_rate"]["end"] == 1e-6
    assert cooldown["learning_rate"]["start"] == cooldown["learning_rate"]["peak"] == 3e-4
    assert cooldown["tokens_per_source"]["web_code"] / cooldown["tokens"] == pytest.approx(0.2)
    assert cooldown["parameters"] == 467_682_304
    assert phases["code_init"]["epochs_per_source"]["web_code"] == pytest.approx(1.15, abs=0.005)
    assert phases["text_pretrain"]["epochs_per_source"]["text"] == pytest.approx(0.80, abs=0.005)
    assert not list(tmp_path.iterdir())


def test_a_trunk_with_two_names_is_planned_once(capsys: pytest.CaptureFixture[str]) -> None:
    same = "--config.phases.balanced_init.mixture={'web_code': 0.8, 'markup': 0.2}"
    assert main(["plan", "--config", "experiments/initialization.py", "--json", same]) == 0
    plan = json.loads(capsys.readouterr().out)
    names = [phase["name"] for phase in plan["phases"]]
    assert "balanced_init" in names
    assert "code_init" not in names
    assert next(p for p in plan["phases"] if p["name"] == "balanced_init")["aliases"] == [
        "code_init"
    ]
    assert plan["variants"]["code_text"][0] == "balanced_init"


def test_a_plan_reads_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The working directory may be one that nobody can write to."""
    assert main(["plan", "--config", str(TINY), "--workdir", "/proc/nope"]) == 0
    assert main(["plan", "--config", str(TINY), "--workdir", str(tmp_path / "new")]) == 0
    assert "trunk" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_plan_names_raw_files_that_are_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "corpora" / "slimpajama" / "train" / "chunk1"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"example_{number}.jsonl.zst").write_bytes(b"")
    assert main(["plan", "--config", str(STUDY)]) == 0
    out = capsys.readouterr().out
    assert "raw files: text 3, stackexchange 3, text_quality 3\n" in out
    assert "config.data.sources.web_code: reader 'the_stack': no file matches path" in out
    assert "config.data.decontamination.benchmarks.mbpp: no file matches 'corpora/bench" in out
    assert main(["plan", "--config", str(STUDY), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert len(plan["missing_benchmarks"]) == 16
    raw_files = plan["raw_files"]
    assert raw_files["text"] == {"files": 3, "problem": None}
    assert raw_files["markup"]["files"] == 0
    assert "no file matches" in raw_files["markup"]["problem"]


STUDY = Path(__file__).parents[2] / "experiments" / "initialization.py"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology=v5e"], "expected chip:AxB"),
        (["--topology=v9x:4x4"], "there is no TPU 'v9x' to plan for"),
        (["--search"], "--search and --slices need a --topology, such as v5e:16x16"),
        (["--topology=v5e:4x4", "--slices=0"], "--slices: expected a whole number, at least 1"),
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
    received: dict[str, Any] = {}

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


def test_an_override_with_a_space_in_its_value_is_no_second_study(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """argparse takes such a word for a value, here of `--config F [F …]`."""
    named = "--config.name=two words"
    for argv in (["--config", str(TINY), named], [named, "--config", str(TINY)]):
        assert main(["plan", *argv]) == 2
        error = capsys.readouterr().err
        assert error.startswith("codepretrain: config.name: "), error
    mixture = "--config.phases.trunk.mixture={'text': 0.5, 'code': 0.5}"
    assert main(["plan", "--config", str(TINY), mixture, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["study"]


def test_several_studies_are_planned_on_a_pod_each_by_its_own_command(capsys, monkeypatch):
    received: dict[str, Any] = {}

    def plan_pod(config, topology, phase_tokens, **options):
        received[config.name] = options | {"phases": phase_tokens}
        return {"step": {}}

    monkeypatch.setattr("codepretrain.podplan.topology.check_compiler", lambda: None)
    monkeypatch.setattr("codepretrain.podplan.plan_pod.plan_pod", plan_pod)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    files = [str(ROOT / "experiments" / f"{name}.py") for name in ("proportion", "initialization")]
    rest = ["--topology=v5e:4x4", "--config.replicates=1"]
    assert main(["plan", "--config", *files, *rest, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["pod"] for one in printed["plans"]] == [{"step": {}}] * 2
    assert list(received) == ["proportion", "initialization"]
    assert "text_stable" in received["proportion"]["phases"]
    for file, of in zip(files, received.values(), strict=True):
        assert of["command"] == ["plan", "--config", file, *rest, "--json"]
    assert received["proportion"]["steps"] is received["initialization"]["steps"]


def test_a_search_is_of_one_study(capsys, monkeypatch):
    monkeypatch.setattr("codepretrain.podplan.topology.check_compiler", lambda: None)
    files = [str(STUDY), str(ROOT / "experiments" / "proportion.py")]
    assert main(["plan", "--config", *files, "--topology=v5e:4x4", "--search"]) == 2
    assert "--search: expected one --config file, got 2" in capsys.readouterr().err
