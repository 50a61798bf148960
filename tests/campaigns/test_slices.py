"""Two phases that do not depend on each other, on two slices at once and one after the other.

    make test-slices

The study of tests/studies/two_trunks.py by `launch` on two local slices of one host with one CPU
device, with `budget.max_slices` 2 and 1. A phase has the same mesh in both, so all results are
equal bit for bit: data, ledgers, losses, evaluations, parameters and moments. The times are printed
with the load of the machine, whose cores bound what two slices on it can gain.
"""

import os
import shutil
from pathlib import Path

import pytest
from etils import epath

from codepretrain.launch.events import Event, seconds
from tests.conftest import ROOT
from tests.fixtures.study_bits import assert_same_study
from tests.launch.launched import submit

pytestmark = pytest.mark.campaign

STUDY = ROOT / "tests" / "studies" / "two_trunks.py"
STEPS, BATCH_SIZE = 300, 64
MACHINE = [
    *("--machine", str(ROOT / "launch" / "local.py"), "--machine.machine.num_slices=2"),
    *("--machine.machine.hosts=1", "--machine.machine.cpu_devices=1"),
]


def test_two_slices_at_once(prepared: Path, tmp_path: Path, tiny_overrides: list[str]) -> None:
    options = [
        *tiny_overrides,
        f"--config.training.batch_size={BATCH_SIZE}",
        *(f"--config.phases.{p}.tokens={STEPS * BATCH_SIZE * 64}" for p in ("prose", "program")),
    ]
    took: dict[int, float] = {}
    for number in (2, 1):
        workdir = Path(shutil.copytree(prepared, tmp_path / f"slices-{number}"))
        took[number] = _run(workdir, options, number)
    compared = assert_same_study(
        epath.Path(tmp_path / "slices-2"), epath.Path(tmp_path / "slices-1")
    )
    print(f"bit for bit the same: {compared}")
    print(f"{took[2]:.0f} s at once, {took[1]:.0f} s one after the other: {took[1] / took[2]:.2f}")


def _run(workdir: Path, options: list[str], max_slices: int) -> float:
    """Runs the study; returns the seconds from its first gang to the end of the job."""
    load = os.getloadavg()[0]
    limit = f"--machine.budget.max_slices={max_slices}"
    job = submit(workdir, "--config", str(STUDY), *options, *MACHINE, limit)
    try:
        job.wait_done()
    finally:
        job.kill_all()
    events = job.events()
    trained = {name: _span(events, f"train.{name}") for name in ("prose", "program")}
    first, second = sorted(trained.values())
    assert (second[0] < first[1]) == (max_slices == 2), trained
    took_s = seconds(events[-1]["time"]) - first[0]
    phases = ", ".join(f"{name} {end - begin:.0f} s" for name, (begin, end) in trained.items())
    print(
        f"max_slices {max_slices}: {took_s:.0f} s with the report; {phases}; "
        f"load before and after {load:.1f}, {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return took_s


def _span(events: list[Event], stage: str) -> tuple[float, float]:
    """Returns the start and the end of the one attempt of a stage."""
    [begin] = [e for e in events if e["event"] == "attempt" and e["stage"] == stage]
    [end] = [e for e in events if e["event"] == "end" and e["stage"] == stage]
    assert end["cause"] == "done"
    return seconds(begin["time"]), seconds(end["time"])
