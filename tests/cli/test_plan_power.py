"""`plan --power` and plans of several studies on the command line."""

import json
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY

STUDY = str(ROOT / "tests" / "studies" / "replicated.py")


def test_the_power_of_a_contrast(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ["plan", "--config", STUDY, "--workdir", str(tmp_path), "--power"]
    assert main([*where, "--run-sd", "0.02", "--config.replicates=4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(
        "contrast code: validation/source/code/nats_per_token of code − plain, lower, α = 0.05"
    )
    assert lines[start + 1] == "  runs    standard deviation 0.02 nats/token (assumed: --run-sd)"
    assert "  here    code 4, plain 4: detects at least 0.0" in lines[start + 6]
    assert not list(tmp_path.iterdir()), "a plan writes nothing"
    assert main([*where, "--run-sd=code=0.02", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["contrasts"]["code"]["replicates"] == {"code": 2, "plain": 2}
    power = plan["power"]["contrasts"]["code"]
    assert power["run_sd"] == {"value": 0.02, "source": "--run-sd", "is_assumed": True}
    assert set(power["detectable_with"]) == {"2", "3", "5", "8"}


def test_a_plan_says_what_cannot_be_concluded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", STUDY, "--config.num_replicates.plain=1"]) == 0
    out = capsys.readouterr().out
    assert "contrast code: plain will have one independent replicate, so checkpoints are c" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--run-sd", "0.1"], "--run-sd is an assumption of --power: give both"),
        (["--power", "--run-sd", "cod=0.1"], "there is no contrast 'cod'; did you mean code?"),
        (["--power", "--run-sd", "0"], "--run-sd: expected a positive number, got '0'"),
        (["--power", "--run-sd", "code=x"], "--run-sd: expected a positive number, got 'x'"),
        (["--power", "--run-sd=1", "--run-sd=2"], "--run-sd is given twice: '1', '2'"),
        (["--power", "--run-sd=code=1", "--run-sd=code=2"], "--run-sd of code is given twice"),
        (["--config.contrasts.code.metric=loss"], "config.contrasts.code.metric: there is no"),
        (["--config.contrasts.code.direction=up"], "config.contrasts.code.direction: expected one"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], flags: list[str], message: str) -> None:
    assert main(["plan", "--config", STUDY, *flags]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_several_studies_share_phases(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The tiny study's trunk is also the first phase of a study of its own."""
    longer = tmp_path / "longer.py"
    longer.write_text(
        "import dataclasses\n"
        "from codepretrain.config.load import to_config_dict\n"
        "from codepretrain.config.parse import parse\n"
        "from codepretrain.config.schema import StudyConfig\n"
        "from tests.studies import tiny\n"
        "def get_config():\n"
        "    study = parse(StudyConfig, tiny.get_config().to_dict())\n"
        "    return to_config_dict(dataclasses.replace(\n"
        "        study, name='longer', phases={'base': study.phases['trunk']},\n"
        "        variants={'base': 'base'}, baseline=None))\n"
    )
    files = [str(TINY), str(longer)]
    assert main(["plan", "--config", *files]) == 0
    out = capsys.readouterr().out
    assert "shared 20.48k tokens: tiny/trunk, longer/base" in out
    assert "together: 30.72k tokens" in out
    assert main(["plan", "--json", "--config", *files]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [plan["study"] for plan in found["plans"]] == ["tiny", "longer"]
    assert found["together"]["studies"]["longer"]["new_tokens"] == 0
    repeated = [f"--config={file}" for file in files]
    assert main(["plan", "--json", *repeated]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert main(["plan", "--config", str(TINY), str(TINY)]) == 2
    assert "two studies are called tiny" in capsys.readouterr().err
    wrong = "--config.phases.trunk.tokens=1"
    assert main(["plan", "--config", *files, wrong]) == 2
    assert (
        f"{TINY}: config.phases.trunk.tokens = 1 is less than one step" in capsys.readouterr().err
    )


def test_other_commands_take_one_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--config", str(TINY), STUDY]) == 2
    assert "unknown argument" in capsys.readouterr().err
