"""The commands `report` and `show-batch` in narrow encodings and without what they show."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY


def test_show_batch_in_ascii(prepared: Path, tiny_overrides: list[str]) -> None:
    where = ["--config", str(TINY), "--workdir", str(prepared), *tiny_overrides]
    command = [
        sys.executable,
        "-m",
        "codepretrain",
        "show-batch",
        "--phase",
        "trunk",
        "--step",
        "3",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for flags in ([], ["--json"]):
        result = subprocess.run(
            [*command, *where, *flags], capture_output=True, text=True, cwd=ROOT, env=environment
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.isascii()
    assert json.loads(result.stdout)["phase"] == "trunk"


def test_a_step_beyond_the_phase(
    capsys: pytest.CaptureFixture[str], prepared: Path, tiny_overrides: list[str]
) -> None:
    where = ["--config", str(TINY), "--workdir", str(prepared), *tiny_overrides]
    assert main(["show-batch", "--phase", "trunk", "--step", str(2**62), *where]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "steps 0 to 39" in captured.err
