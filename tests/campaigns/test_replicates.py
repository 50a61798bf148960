"""A study with two replicates as a job on two local hosts.

    make test-replicates

It trains what `run` trains: one trunk for each replicate, and one run for phases of one
fingerprint. tests/study/test_replicated_run.py is the same in one process.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.launch.launched import submit
from tests.replicated_runs import STEPS, check_runs

pytestmark = pytest.mark.campaign


def test_a_job_trains_every_replicate_once(
    prepared: Path, tmp_path: Path, tiny_overrides: list[str]
) -> None:
    workdir = Path(shutil.copytree(prepared, tmp_path / "workdir"))
    job = submit(
        workdir,
        *("--config", str(ROOT / "tests" / "studies" / "replicated.py"), *tiny_overrides),
        *("--machine", str(ROOT / "launch" / "local.py"), "--machine.machine.cpu_devices=1"),
    )
    try:
        job.wait_done()
    finally:
        job.kill_all()
    stages = {stage.name: stage for stage in job.job.stages}
    assert set(stages) == {*(f"train.{phase}" for phase in STEPS), "report"}
    assert stages["train.with_code-r1"].parents == ("train.trunk-r1",)
    assert all(job.state().stage(name).state == "DONE" for name in stages)
    check_runs(workdir, num_processes=2)
    results = json.loads((workdir / "reports" / "tiny" / "results.json").read_text())
    assert set(STEPS) <= set(results["phases"])
