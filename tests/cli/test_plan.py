"""The `plan` command: the documented JSON, phases with one fingerprint, an unreadable workdir."""

import json
from pathlib import Path

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
    assert set(plan["variants"]) == {"text_only", "balanced_only", "balanced_text", "code_text"}
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
