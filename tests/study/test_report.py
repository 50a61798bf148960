"""`report` and `show-batch` read a trained study without JAX."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY

CODE = """
import sys
from codepretrain.cli.main import main

code = main(sys.argv[1:])
print("jax" in sys.modules)
sys.exit(code)
"""


def last_line(*arguments: str | Path) -> str:
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    # With a JAX_ variable the command line imports JAX, to check it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def test_no_command_that_reads_imports_jax(trained_copy: Path, tiny_overrides: list[str]) -> None:
    where: list[str | Path] = ["--config", TINY, "--workdir", trained_copy, *tiny_overrides]
    assert last_line("report", *where) == "False"
    assert (trained_copy / "reports" / "tiny" / "index.html").exists()
    assert last_line("show-batch", "--phase", "branch", "--step", "3", *where) == "False"


def test_the_report_of_a_study_that_is_not_trained_is_an_error(
    workdir: Path, tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--config", str(TINY), "--workdir", str(workdir), *tiny_overrides]
    assert main(["report", *where]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert f"no phase of the study 'tiny' was trained in {workdir / 'runs'}: run `codepre" in line
    assert not (workdir / "reports").exists()


def test_averages_of_a_trained_study_are_in_its_report(
    trained_copy: Path, tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["report", "--config", str(TINY), "--workdir", str(trained_copy), *tiny_overrides]
    sources = [f"validation/source/{source}/nats_per_token" for source in ("text", "code")]
    chosen = [f"--config.averages.categories.loss={sources!r}"]
    chosen += ["--config.averages.totals.all=['loss']"]
    assert main([*where, *chosen]) == 0
    assert "Traceback" not in capsys.readouterr().err
    numbers = json.loads((trained_copy / "reports" / "tiny" / "results.json").read_text())
    assert {(one["phase"], *one["reasons"]) for one in numbers["averages"]["missing"]} == {
        ("cooldown", "the phase is missing")
    }
    assert numbers["study"]["averages"]["categories"] == {"loss": sources}
    last = numbers["phases"]["branch"]["evaluations"][-1]["metrics"]
    scores = [last[source.removeprefix("validation/")] for source in sources]
    found = numbers["averages"]["phases"]["branch"][-2:]
    assert [one["evaluator"] for one in found] == ["loss", "all"]
    for metric in (one["metrics"]["average"] for one in found):
        assert metric["value"] == pytest.approx(sum(one["value"] for one in scores) / 2)
        squares = sum(one["standard_error"] ** 2 for one in scores)
        assert metric["standard_error"] == pytest.approx(squares**0.5 / 2)
    wrong = chosen[0].replace("nats_per", "bits_per")
    assert main([*where, wrong]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "config.averages.categories.loss[0]: an evaluation of kind 'validation_loss' has" in line
