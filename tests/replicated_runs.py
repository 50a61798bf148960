"""What the runs of tests/studies/replicated.py are, whichever way they were trained."""

import json
from pathlib import Path
from typing import Any

STEPS = {"trunk": 8, "with_code": 4, "trunk-r1": 8, "with_code-r1": 4}


def check_runs(workdir: Path, *, num_processes: int) -> dict[str, dict[str, Any]]:
    """Returns run.json of every run by phase, after checking that each was trained once.

    Of the six phases of the study `with_code_too` and `with_code_too-r1` have no run of their own.
    """
    folders = {folder.name.rpartition("-")[0]: folder for folder in (workdir / "runs").iterdir()}
    assert sorted(folders) == sorted(STEPS)
    runs, digests, losses = {}, {}, {}
    for phase, folder in folders.items():
        record = json.loads((folder / "run.json").read_text())
        assert record["phase"] == phase
        assert folder.name == f"{phase}-{record['fingerprint'][:12]}"
        steps = [line["step"] for line in lines(folder / "metrics.jsonl")]
        assert steps == list(range(1, STEPS[phase] + 1)), "a step was trained twice"
        starts = lines(folder / "starts.jsonl")
        assert [start["num_processes"] for start in starts] == [num_processes], "trained twice"
        assert [line["step"] for line in lines(folder / "evals.jsonl")][-1] == STEPS[phase]
        digests[phase] = json.loads((folder / "ledger.json").read_text())["digest"]
        losses[phase] = lines(folder / "metrics.jsonl")[0]["loss"]
        runs[phase] = record
    assert len(set(digests.values())) == 4, "replicates read the same rows in the same order"
    assert losses["trunk"] != losses["trunk-r1"]
    return runs


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
