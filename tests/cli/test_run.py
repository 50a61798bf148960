"""The commands that do the work of a study: the processes of a run that cannot be joined."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "coordinator_address should be defined"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1"}, "Number of processes must be defined"),
    ],
)
def test_a_pod_that_cannot_be_joined(
    tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    where = ["--config", str(TINY), "--workdir", str(tmp_path / "new")]
    result = subprocess.run(
        [sys.executable, "-m", "codepretrain", "train", "--distributed", *where],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **variables},
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("codepretrain: --distributed: cannot join the other processes")
    assert reason in result.stderr
    assert not (tmp_path / "new").exists()
