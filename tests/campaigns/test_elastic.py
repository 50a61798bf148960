"""A job loses half of its hosts, goes on with the others, and grows again when they are back.

    make test-elastic

A job of two slices of two hosts trains the tiny study's trunk. Amid the phase the keeper and the
supervisors of the second slice are killed: nobody starts them again. After `watchdog.init_s` the
job goes on with two processes and twice the micro-batches, so that a device computes as many rows
at a time as before. Then `launch keep` brings the hosts back, and the job goes on with four.

Compared with four processes without `launch` that nobody touched: ledger and digest of the batches
are equal, and losses differ by the order of float32 sums alone, at most TOLERANCE of the loss.
"""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from codepretrain.launch.events import Event
from tests.campaigns.test_hosts import largest_difference, lines, run_dir, start
from tests.conftest import ROOT, TINY
from tests.fixtures.processes import wait_for_all
from tests.launch.launched import Launched, send, submit

pytestmark = pytest.mark.campaign

TOLERANCE = 1e-6
STEPS, BATCH_SIZE = 160, 64
STEP_TOKENS = BATCH_SIZE * 64
OPTIONS = [
    f"--config.training.batch_size={BATCH_SIZE}",
    f"--config.phases.trunk.tokens={STEPS * STEP_TOKENS}",
    f"--config.phases.branch.parent_tokens={20 * STEP_TOKENS}",
    f"--config.phases.branch.tokens={10 * STEP_TOKENS}",
    f"--config.phases.cooldown.tokens={10 * STEP_TOKENS}",
    "--config.checkpoint.temporary_interval_s=1.0",
    "--config.evals.validation.interval_steps=40",
]
SLICES = [
    *("--machine", str(ROOT / "launch" / "local.py"), "--machine.machine.cpu_devices=1"),
    *("--machine.machine.hosts=2", "--machine.machine.num_slices=2"),
    *("--machine.watchdog.heartbeat_s=8", "--machine.watchdog.init_s=60"),
    *("--machine.restart.backoff_s=0.5", "--machine.restart.max_failures=20"),
]
LOST = (2, 3)  # the hosts of the second slice
MESHES = {
    "default mesh": [],
    "data 2 × fsdp 2": ["--config.execution.mesh.data=2", "--config.execution.mesh.fsdp=2"],
}


@pytest.mark.parametrize("mesh", MESHES)
def test_four_processes_then_two_then_four(
    prepared: Path, tmp_path: Path, tiny_overrides: list[str], mesh: str
) -> None:
    options = [*OPTIONS, *MESHES[mesh]]
    unbroken, workdir = (
        Path(shutil.copytree(prepared, tmp_path / name)) for name in ("unbroken", "workdir")
    )
    processes = start("train", unbroken, tiny_overrides, num_processes=4, options=options)
    for ended in wait_for_all(processes, timeout_s=1800):
        assert ended.returncode == 0, ended.stdout
    study = ["--config", str(TINY), "--phase", "trunk", *tiny_overrides, *options]
    job = submit(workdir, *study, *SLICES)
    try:
        _lose_and_return(job)
        job.wait_done()
    finally:
        job.kill_all()
    gangs = [_gang(event) for event in job.events() if event["event"] == "attempt"]
    assert [
        gang for gang, before in zip(gangs, [None, *gangs], strict=False) if gang != before
    ] == [
        (4, 1),
        (2, 2),
        (4, 1),
    ], job.described()
    _compare(run_dir(workdir), run_dir(unbroken), mesh)


def _lose_and_return(job: Launched) -> None:
    """Takes the second slice away amid the phase, and brings it back once the job goes on."""
    job.wait(lambda: job.step() >= 20, "20 steps of four processes")
    lost_s = time.time()
    for pid in job.keepers():
        send(pid, signal.SIGKILL)
    supervisors = job.supervisors()
    for host in LOST:
        send(supervisors[host], signal.SIGKILL)
    job.wait(lambda: _processes(job) == 2, "an attempt of two processes")
    first = job.wait_event(time.time() - 1, "first_step")
    job.wait(lambda: job.step() >= first["step"] + 10, "10 steps of two processes")
    print(f"lost at {_at(job, lost_s)}; two processes make steps from {first['step']} on")
    job.start_keeper()
    job.wait(lambda: _processes(job) == 4, "an attempt of four processes")
    again = job.wait_event(time.time() - 1, "resumed")
    print(f"four processes go on from step {again['step']}")


def _at(job: Launched, moment_s: float) -> str:
    end = job.wait_event(moment_s, "end")
    return f"step {end['step']}, {end['lost_steps']} steps repeated ({end['message']})"


def _processes(job: Launched) -> int:
    """Returns the processes of the gang that runs now, 0 if none does."""
    live = [v for v in job.state().live.values() if v.closing is None]
    return len(live[0].attempt.hosts) if live else 0


def _gang(event: Event) -> tuple[int, int]:
    """Returns the processes and the micro-batches of an attempt."""
    words = event["record"]["arguments"]
    found = [int(w.rpartition("=")[2]) for w in words if ".num_microbatches=" in w]
    return len(event["record"]["hosts"]), found[-1] if found else 1


def _compare(ours: Path, theirs: Path, name: str) -> None:
    ledgers = [json.loads((run / "ledger.json").read_text()) for run in (ours, theirs)]
    assert ledgers[0] == ledgers[1]
    records = [lines(run / "metrics.jsonl") for run in (ours, theirs)]
    for found in records:
        assert [record["step"] for record in found] == [*range(1, STEPS + 1)]
    difference = largest_difference(*([r["loss"] for r in found] for found in records))
    evaluations = [
        {e["step"]: e["metrics"] for e in lines(run / "evals.jsonl")} for run in (ours, theirs)
    ]
    assert evaluations[0].keys() == evaluations[1].keys() == set(range(40, STEPS + 1, 40))
    values = [
        [found[step][n]["value"] for step in sorted(found) for n in sorted(found[step])]
        for found in evaluations
    ]
    evaluated = largest_difference(*values)
    print(
        f"{name}: digest {ledgers[0]['digest'][:16]} of both; largest relative difference of "
        f"{STEPS} losses {difference:.2e}, of evaluations {evaluated:.2e}"
    )
    assert difference < TOLERANCE
    assert evaluated < TOLERANCE
