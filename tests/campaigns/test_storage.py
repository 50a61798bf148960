"""Whole studies on an object store on loopback: the bits of a run on the local disk.

    make test-storage

1. The tiny study, and every command that reads or writes the store.
2. The tiny study by two processes.
3. The demo study, killed with -9 in each of its stages and resumed by the same command.

The emulator is `tests/fixtures/gcs_emulator.py`. The demo study has fewer steps and smaller sources
than `experiments/demo.py`, so that this takes minutes: see `SMALLER`.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.files import storage
from tests.conftest import ROOT, TINY
from tests.fixtures.object_stores import BUCKET
from tests.fixtures.processes import free_address, wait_for_all
from tests.fixtures.study_bits import assert_same_study

pytestmark = pytest.mark.campaign

DEMO = ROOT / "experiments" / "demo.py"
TIMEOUT_S = 900.0
_STEP_TOKENS = 8 * 256
_STEPS = {
    "text_pretrain": 60,
    "cooldown_without_code": 20,
    "cooldown_with_code": 20,
    "cooldown_with_kinds_of_code": 20,
    "balanced_init": 40,
    "balanced_text_continued": 30,
    "code_init": 40,
    "code_text_continued": 30,
}
SMALLER = [
    "--config.data.sources.text.options.max_bytes=2000000",
    "--config.data.sources.code.options.max_bytes=3000000",
    "--config.data.tokenizer.training_bytes_per_source=1000000",
    "--config.checkpoint.temporary_interval_s=1",
    "--config.evals.validation.interval_steps=30",
    *(f"--config.phases.{name}.tokens={n * _STEP_TOKENS}" for name, n in _STEPS.items()),
]
# The stages to be killed in, in this order: the object that appears in each of them, and for how
# many seconds after that the process may go on.
KILLS = [
    ("preparation", None, 12.0),
    ("preparation", r"data/.*\.(arrayrecord|records)$", 1.0),
    ("training", r"metrics\.jsonl\.parts/", 3.0),
    ("saving", r"checkpoints/\d+/unfinished$", 0.1),
    ("evaluation", r"items/prose_continuation", 1.0),
    ("training", r"metrics\.jsonl\.parts/", 3.0),
    ("saving", r"checkpoints/\d+/unfinished$", 0.5),
    ("saving", r"checkpoints/\d+/state/", 0.1),
    ("evaluation", r"items/(code|python)_", 1.0),
    ("report", r"reports/", 0.0),
]


@pytest.fixture
def gs(gcs_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> epath.Path:
    """A new folder of the emulated bucket; this process finds the emulator too."""
    for name, value in gcs_server.items():
        monkeypatch.setenv(name, value)
    return storage.parse(f"gs://{BUCKET}/campaign-{time.time_ns()}")


def start(command: str, workdir: os.PathLike[str], *options: str | Path) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own."""
    chosen = [os.fspath(option) for option in options]
    words = [*command.split(), "--workdir", os.fspath(workdir), *chosen]
    return subprocess.Popen(
        [sys.executable, "-m", "codepretrain", *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},
    )


def finish(*processes: subprocess.Popen[str]) -> str:
    """Returns the output of the first process when all have ended well."""
    ended = wait_for_all(processes, timeout_s=TIMEOUT_S)
    for process in ended:
        assert process.returncode == 0, process.stdout
    return ended[0].stdout


def test_tiny_study(gs: epath.Path, tmp_path: Path, tiny_overrides: list[str]) -> None:
    chosen: list[Any] = ["--config", TINY, *tiny_overrides]
    local, remote = tmp_path / "local", gs / "study"
    finish(start("run", local, *chosen))
    finish(start("run", remote, *chosen))
    print(assert_same_study(remote, epath.Path(local)))
    assert "trained already" in finish(start("run", remote, *chosen))
    for command in ("plan", "report", "show-batch --phase branch --step 3"):
        assert finish(start(command, remote, *chosen))
    finish(start("evaluate --phase trunk --step 20", remote, *chosen))
    for workdir, name in ((remote, "stored"), (local, "local")):
        folders = [gs / f"exported-{name}", tmp_path / f"exported-{name}"]
        for folder in folders:
            finish(start(f"export --phase branch --output {folder}", workdir, *chosen))
            said = finish(start(f"import --name of_{name} --model {folder}", workdir, *chosen))
            assert "imported" in said
        stored, there = (storage.sizes_below(folder) for folder in folders)
        assert stored == there
    for name in storage.sizes_below(tmp_path / "exported-local"):
        ours, theirs = gs / "exported-stored" / name, tmp_path / "exported-local" / name
        assert storage.read_bytes(ours) == theirs.read_bytes()


def test_two_processes(gs: epath.Path, tmp_path: Path, tiny_overrides: list[str]) -> None:
    chosen: list[Any] = ["--config", TINY, *tiny_overrides]
    for workdir in (gs / "study", tmp_path / "local"):
        machine: list[Any] = [
            "--cpu-devices=1",
            f"--coordinator={free_address()}",
            "--num-processes=2",
        ]
        finish(start("prepare", workdir, *chosen))
        finish(*(start("run", workdir, *chosen, *machine, f"--process-id={i}") for i in range(2)))
    print(assert_same_study(gs / "study", epath.Path(tmp_path / "local")))


def test_demo_study_killed_in_every_stage(gs: epath.Path, tmp_path: Path) -> None:
    began_s = time.monotonic()
    chosen: list[Any] = ["--config", DEMO, *SMALLER]
    finish(start("run", tmp_path / "local", *chosen))
    print(f"unbroken local run: {time.monotonic() - began_s:.0f} s")
    rng, workdir = random.Random(11), gs / "study"
    kills = 0
    for stage, pattern, longest_s in KILLS:
        process = start("run", workdir, *chosen)
        kills += kill_in(stage, pattern, rng.uniform(0, longest_s), process, workdir)
    finish(start("run", workdir, *chosen))
    print(f"{kills} kills; all in {time.monotonic() - began_s:.0f} s")
    assert kills >= 8
    print(assert_same_study(workdir, epath.Path(tmp_path / "local")))


def kill_in(
    stage: str,
    pattern: str | None,
    wait_s: float,
    process: subprocess.Popen[str],
    workdir: epath.Path,
) -> bool:
    """Kills a run and its subprocesses `wait_s` after an object of the stage has appeared.

    Returns whether it was still running; if not, it must have ended well.
    """
    before = set(storage.sizes_below(workdir))
    deadline = time.monotonic() + TIMEOUT_S
    seen = None if pattern else "the start"
    while seen is None and process.poll() is None:
        assert time.monotonic() < deadline, f"no object of {stage} appeared"
        new = set(storage.sizes_below(workdir)) - before
        seen = next((name for name in sorted(new) if re.search(pattern or "", name)), None)
        time.sleep(0.02)
    time.sleep(wait_s)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    output = process.communicate(timeout=60)[0]
    is_killed = process.returncode == -signal.SIGKILL
    assert is_killed or process.returncode == 0, output
    print(f"{'killed' if is_killed else 'ended'} in {stage}, {wait_s:.2f} s after {seen}")
    return is_killed
