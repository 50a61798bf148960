"""Killed at any moment and started again: parameters and losses bit for bit the unbroken run's.

    make test-resume

Each trial runs the tiny study's trunk in processes that are killed at random moments, some of them
while a checkpoint is being written, until it is done, and compares with a run that nobody touched.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from tests.conftest import ROOT, TINY

pytestmark = pytest.mark.campaign

NUM_KILLS = 20
NUM_TERMINATIONS = 5
STEPS = 1500
# What a log line says of the machine and not of the run.
TIMING = {"tokens_per_s", "wait_share", "mfu", "goodput"}
"""Options of the runs of this campaign: long enough to be killed, and saving all the time."""
OPTIONS = [
    f"--config.phases.trunk.tokens={STEPS * 8 * 64}",
    "--config.phases.branch.parent_tokens=20480",
    "--config.checkpoint.temporary_interval_s=0.5",
    "--config.checkpoint.permanent_interval_steps=400",
    "--config.evals.validation.interval_steps=250",
]


def train(workdir: Path, overrides: list[str]) -> subprocess.Popen[str]:
    command = ["train", "--phase", "trunk", "--config", TINY, "--workdir", workdir]
    return subprocess.Popen(
        [sys.executable, "-m", "codepretrain", *map(str, command), *OPTIONS, *overrides],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},
    )


def finish(workdir: Path, overrides: list[str]) -> str:
    process = train(workdir, overrides)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return output


def run_dir(workdir: Path) -> Path:
    [folder] = (workdir / "runs").glob("trunk-*")
    return folder


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def logged(workdir: Path) -> list[dict]:
    records = lines(run_dir(workdir) / "metrics.jsonl")
    return [{k: v for k, v in record.items() if k not in TIMING} for record in records]


def final_arrays(workdir: Path) -> dict[str, np.ndarray]:
    import orbax.checkpoint as ocp

    path = epath.Path(run_dir(workdir) / "checkpoints" / str(STEPS) / "state")
    tree = ocp.StandardCheckpointer().restore(path)
    import jax

    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def assert_same_run(workdir: Path, unbroken: Path) -> None:
    assert logged(workdir) == logged(unbroken)
    assert [record["step"] for record in logged(workdir)] == list(range(1, STEPS + 1))
    evals = "evals.jsonl"
    assert lines(run_dir(workdir) / evals) == lines(run_dir(unbroken) / evals)
    ours, theirs = final_arrays(workdir), final_arrays(unbroken)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert array.dtype == ours[name].dtype
        assert array.tobytes() == ours[name].tobytes(), f"{name} differs"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, prepared: Path, tiny_overrides: list[str]) -> Path:
    workdir = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("unbroken") / "workdir"))
    finish(workdir, tiny_overrides)
    return workdir


def last_step(workdir: Path) -> int:
    path = next((workdir / "runs").glob("trunk-*/metrics.jsonl"), None)
    text = path.read_text() if path else ""
    return max([0, *(int(n) for n in re.findall(r'"step": (\d+)', text))])


def wait_until_stepping(process: subprocess.Popen[str], workdir: Path) -> None:
    """Returns when the process has logged a step of its own, or ended."""
    path = next((workdir / "runs").glob("trunk-*/metrics.jsonl"), None)
    before = path.stat().st_mtime_ns if path else 0
    started = time.time()
    while process.poll() is None and time.time() - started < 120:
        path = next((workdir / "runs").glob("trunk-*/metrics.jsonl"), None)
        if path and path.stat().st_mtime_ns > before and last_step(workdir):
            return
        time.sleep(0.05)


def wait_for_a_save(process: subprocess.Popen[str], workdir: Path) -> bool:
    """Returns whether a checkpoint was seen half-written."""
    while process.poll() is None:
        if list((workdir / "runs").glob("trunk-*/checkpoints/*/unfinished")):
            return True
        time.sleep(0.001)
    return False


def test_killed_twenty_times(workdir: Path, unbroken: Path, tiny_overrides: list[str]) -> None:
    rng = random.Random(7)
    kills, in_saves, restarts = 0, 0, 0
    while kills < NUM_KILLS:
        process = train(workdir, tiny_overrides)
        restarts += 1
        assert restarts < 3 * NUM_KILLS, "the run ends before it can be killed often enough"
        if kills % 5 == 4:
            time.sleep(rng.uniform(0, 8))  # while it starts, compiles, restores
        else:
            wait_until_stepping(process, workdir)
            if kills % 2:
                time.sleep(rng.uniform(0, 2))
                in_saves += wait_for_a_save(process, workdir)
            else:
                time.sleep(rng.uniform(0, 4))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        output = process.communicate(timeout=60)[0]
        print(f"kill {kills}: code {process.returncode}, {last_step(workdir)} steps logged")
        if process.returncode == 0:  # it was done before the kill came: begin anew
            assert_same_run(workdir, unbroken)
            shutil.rmtree(workdir / "runs")
        else:
            assert process.returncode == -signal.SIGKILL, output
    finish(workdir, tiny_overrides)
    print(f"{kills} kills, {in_saves} of them while a checkpoint was being written")
    assert in_saves >= 3
    assert_same_run(workdir, unbroken)


def test_terminated(workdir: Path, unbroken: Path, tiny_overrides: list[str]) -> None:
    rng = random.Random(8)
    for number in range(NUM_TERMINATIONS):
        process = train(workdir, tiny_overrides)
        wait_until_stepping(process, workdir)
        time.sleep(rng.uniform(0, 3))
        if process.poll() is not None:
            break
        stop = signal.SIGINT if number % 2 else signal.SIGTERM
        process.send_signal(stop)
        output = process.communicate(timeout=120)[0]
        if process.returncode == 0:
            break
        assert process.returncode == 128 + stop, output
        message = output.strip().splitlines()[-1]
        assert "everything is saved. To resume, run: codepretrain train" in message
        assert "Traceback" not in output
    finish(workdir, tiny_overrides)
    assert_same_run(workdir, unbroken)


@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_damaged_checkpoint_is_named(
    workdir: Path, unbroken: Path, tiny_overrides: list[str], damage: str
) -> None:
    shutil.copytree(unbroken / "runs", workdir / "runs")
    folder = run_dir(workdir) / "checkpoints"
    shutil.rmtree(folder / str(STEPS))
    newest = max(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    files = [path for path in (folder / str(newest)).rglob("*") if path.is_file()]
    victim = max(files, key=lambda path: path.stat().st_size)
    if damage == "truncated":
        os.truncate(victim, victim.stat().st_size // 2)
    else:
        victim.unlink()
    output = finish(workdir, [*tiny_overrides, "--retrain-lost"])
    assert "damaged checkpoint" in output
    assert victim.name in output
    assert "resuming from step" in output
    assert_same_run(workdir, unbroken)
