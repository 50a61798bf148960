"""A study with two replicates, trained, evaluated and reported by one `run`."""

import json
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, Command
from tests.replicated_runs import check_runs

STUDY = ROOT / "tests" / "studies" / "replicated.py"


def test_every_replicate_is_trained_once_by_one_run(
    command: Command,
    workdir: Path,
    tiny_overrides: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--config", str(STUDY), "--workdir", str(workdir), *tiny_overrides]
    result = command("run", *where)
    assert result.returncode == 0, result.stderr
    runs = check_runs(workdir, num_processes=1)
    for trunk, branch in (("trunk", "with_code"), ("trunk-r1", "with_code-r1")):
        assert runs[branch]["parent"] == trunk
        assert runs[branch]["parent_fingerprint"] == runs[trunk]["fingerprint"]
    results = json.loads((workdir / "reports" / "tiny" / "results.json").read_text())
    assert set(runs) <= set(results["phases"])

    # `--phase` takes the name of a replicate's phase, the second name of a run included.
    rows = {}
    for phase in ("trunk", "trunk-r1", "with_code-r1", "with_code_too-r1"):
        assert main(["show-batch", *where, "--phase", phase, "--step", "1", "--json"]) == 0
        rows[phase] = json.loads(capsys.readouterr().out)["rows"]
    assert rows["trunk"] != rows["trunk-r1"]
    assert rows["with_code-r1"] == rows["with_code_too-r1"]
    assert main(["evaluate", *where, "--phase", "trunk-r2"]) == 2
    assert "there is no phase 'trunk-r2'; did you mean trunk-r1?" in capsys.readouterr().err

    # The trained replicates say how much a score varies; a damaged file is named and not used.
    assert main(["plan", *where, "--power", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["power"]
    measured = planned["contrasts"]["code"]
    assert measured["run_sd"]["source"] == (
        "code 2, plain 2 finished runs, pooled, without run × item"
    )
    assert not measured["run_sd"]["is_assumed"]
    assert planned["problems"] == []
    [scores] = (workdir / "runs").glob("trunk-r1-*/items/*-00000008-*.npz")
    scores.write_bytes(b"x")
    assert main(["plan", *where, "--power"]) == 0
    out = capsys.readouterr().out
    lost = "trunk-r1: the item scores of validation at step 8 are lost and are in no comparison"
    assert f"not used: {lost}: {scores} is damaged: expected " in out
    assert "0.05 nats/token (assumed" in out

    exported = workdir.parent / "exported"
    assert command("export", *where, "--phase", "trunk-r1", "--output", exported).returncode == 0
    provenance = json.loads((exported / "codepretrain.json").read_text())
    assert (provenance["initialization_seed"], provenance["data_order_seed"]) == (1, 11)
