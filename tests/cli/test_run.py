"""The commands that do the work of a study: the processes of a run that cannot be joined."""

import os
import shutil
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


def test_raw_files_that_changed_are_refused_until_they_are_read_again(
    corpora: Path, tmp_path: Path, command
) -> None:
    raw = Path(shutil.copytree(corpora, tmp_path / "raw"))
    where = ["--config", TINY, "--workdir", tmp_path / "work"]
    where += [
        f"--config.data.sources.{kind}.options.path={raw / kind}.jsonl" for kind in ("text", "code")
    ]
    assert command("prepare", *where).returncode == 0
    text = (raw / "text.jsonl").read_text()
    (raw / "text.jsonl").write_text(text.replace("Page 7.", "Page X."))
    for name in ("run", "prepare"):
        result = command(name, *where)
        assert result.returncode == 2, result.stderr
        assert f"{raw / 'text.jsonl'} was altered" in result.stderr
        assert "--reread-changed" in result.stderr
    result = command("prepare", *where, "--reread-changed")
    assert result.returncode == 0, result.stderr
    assert command("prepare", *where).returncode == 0
