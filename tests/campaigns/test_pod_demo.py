"""What `make pod-demo` calls equal, and when it refuses to start."""

import json
import sys
from pathlib import Path

import pytest

from tests.campaigns import pod_demo


def write(workdir: Path, **digests: str) -> Path:
    for run, digest in digests.items():
        folder = workdir / "runs" / run
        folder.mkdir(parents=True)
        (folder / "ledger.json").write_text(json.dumps({"step": 4, "digest": digest}))
    return workdir


@pytest.mark.parametrize(
    ("ours", "expected", "is_same"),
    [
        ({"a_1": "x", "b_2": "y"}, {"a_1": "x", "b_2": "y"}, True),
        ({"a_1": "x", "b_2": "y"}, {"a_1": "x", "b_2": "y", "b_old": "z"}, True),
        ({"a_1": "x", "b_2": "y"}, {"a_1": "x", "b_2": "z"}, False),
        ({"a_1": "x", "b_2": "y"}, {"a_1": "x", "b_3": "y"}, False),
        ({"a_1": "x"}, {"a_1": "x", "b_2": "y"}, False),  # a phase has no ledger
        ({}, {}, False),
    ],
)
def test_every_phase_is_compared(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ours: dict[str, str],
    expected: dict[str, str],
    is_same: bool,
) -> None:
    pair = write(tmp_path / "ours", **ours), write(tmp_path / "theirs", **expected)
    assert pod_demo.compare(*pair, num_phases=2) is is_same
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == ("all results are equal" if is_same else "results DIFFER")


def test_a_workdir_with_runs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its phases may be done, and then nothing is there to break."""
    workdir = write(tmp_path / "ours", a_1="x")
    monkeypatch.setattr(sys, "argv", ["pod_demo", "--workdir", str(workdir)])
    assert pod_demo.main() == 2
    assert "has runs: remove it" in capsys.readouterr().err
