"""Four processes with a disk each, killed with -9: they go on from their disks, to the bit.

    make test-local

Each process has two CPU devices and a local folder of its own, as a host has its own disk. All are
killed at once, later than the newest checkpoint of the working directory. Then, each time from the
same remains:

    intact      nothing is lost
    one         the disk of one host is empty
    moved       every process is on another host than before, and one of the disks is empty
    damaged     a byte of one part differs: another copy is read
    all         the disks that hold some part are empty: back to the working directory

Every one of them is trained to its end, which has the bits of a run that nobody touched: losses,
evaluations, ledger, parameters and moments. On a mesh with replicas on other processes (data 2 ×
fsdp 4) nothing is sent when a checkpoint is saved; with fsdp alone each process has the part of its
neighbor too.
"""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from codepretrain.launch.history import attempts_of
from tests.campaigns.test_hosts import finish, last_step, start
from tests.fixtures.processes import RunJob
from tests.fixtures.study_bits import assert_same_study
from tests.launch.launched import Launched, send
from tests.launch.tiny_job import make_job

pytestmark = pytest.mark.campaign

NUM_PROCESSES = 4
STEPS, INTERVAL = 48, 4
TIMEOUT_S = 600.0
OPTIONS = [
    f"--config.phases.trunk.tokens={STEPS * 8 * 64}",
    "--config.phases.branch.parent_tokens=20480",
    "--config.checkpoint.permanent_interval_steps=16",
    f"--config.checkpoint.local_interval_steps={INTERVAL}",
    "--config.evals.validation.interval_steps=24",
]
# Every start but the first finds all programs compiled.
CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# What is left → whether a local checkpoint can be restored from it.
REMAINS = {"intact": True, "one": True, "moved": True, "damaged": True, "all": False}
MESHES = {
    # Mesh → options, the two hosts that hold a part, and its number.
    "fsdp 8": (["--config.execution.mesh.fsdp=8"], (1, 2), 1),
    "data 2 × fsdp 4": (
        ["--config.execution.mesh.data=2", "--config.execution.mesh.fsdp=4"],
        (0, 2),
        0,
    ),
}


class Job:
    """The study on four processes; `shift` puts each on another host's disk."""

    def __init__(self, folder: Path, overrides: list[str], mesh: list[str]) -> None:
        self.workdir, self.disks = folder / "workdir", folder / "disks"
        self.overrides = [*overrides, *mesh]
        self.kept = folder / "kept"

    def start(self, shift: int | None = 0) -> list[subprocess.Popen[str]]:
        """shift: None for no local checkpoints."""

        def of_process(index: int) -> list[str]:
            if shift is None:
                return []
            disk = self.disk((index + shift) % NUM_PROCESSES)
            return [f"--config.checkpoint.local_folder={disk}"]

        return start(
            "train",
            self.workdir,
            self.overrides,
            num_processes=NUM_PROCESSES,
            options=OPTIONS,
            cpu_devices=2,
            of_process=of_process,
        )

    def disk(self, host: int) -> Path:
        return self.disks / f"host-{host}"

    def local_step(self) -> int:
        """Returns the newest step that all processes have sealed, 0 if there is none."""
        sealed = [
            {
                int(path.parent.parent.name)
                for path in self.disk(host).glob("*/*/*/process-*/files.json")
            }
            for host in range(NUM_PROCESSES)
        ]
        return max(set.intersection(*sealed), default=0)

    def committed_step(self) -> int:
        found = (self.workdir / "runs").glob("trunk-*/checkpoints/*/checkpoint.json")
        return max((int(path.parent.name) for path in found), default=0)

    def kill_between(self) -> tuple[int, int]:
        """Kills all processes once a local step is the newest by far; returns both steps."""
        processes = self.start()
        deadline = time.monotonic() + TIMEOUT_S
        while not (self.committed_step() and self.local_step() > self.committed_step() + INTERVAL):
            assert time.monotonic() < deadline
            ended = [process for process in processes if process.poll() is not None]
            assert not ended, ended[0].communicate()[0]
            time.sleep(0.01)
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.communicate(timeout=60)
        committed, local = self.committed_step(), self.local_step()
        assert committed < local < STEPS
        self.kept.mkdir()
        for folder in (self.workdir, self.disks):
            shutil.copytree(folder, self.kept / folder.name)
        return committed, local

    def put_back(self) -> None:
        for folder in (self.workdir, self.disks):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.kept / folder.name, folder)

    def finish(self, shift: int | None = 0) -> str:
        """Trains to the end, and returns what process 0 has printed."""
        return finish(self.start(shift), timeout_s=TIMEOUT_S)[0]


@pytest.mark.parametrize("mesh", MESHES)
def test_they_go_on_from_their_disks(
    prepared: Path,
    tmp_path: Path,
    tiny_overrides: list[str],
    mesh: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in CACHE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    options, holders, part = MESHES[mesh]
    unbroken, job = (Job(tmp_path / name, tiny_overrides, options) for name in ("unbroken", "job"))
    for one in (unbroken, job):
        shutil.copytree(prepared, one.workdir)
    unbroken.finish(shift=None)
    committed, local = job.kill_between()
    print(f"\n{mesh}: killed at step {last_step(job.workdir)}, with {committed} and {local} saved")

    for name, is_local in REMAINS.items():
        job.put_back()
        shift, expected = 0, local if is_local else committed
        if name in ("one", "moved"):
            shutil.rmtree(job.disk(holders[0]))
            shift = 3 if name == "moved" else 0
        if name == "damaged":
            damage(job, holders[0], part, local)
        if name == "all":
            for host in holders:
                shutil.rmtree(job.disk(host))
        started = time.monotonic()
        output = job.finish(shift)
        found = re.search(r"resuming from step (\d+)( of a local checkpoint)?", output)
        assert found is not None, output
        assert (int(found[1]), found[2] is not None) == (expected, is_local), output
        assert (f"damaged local checkpoint of step {local}:" in output) == (name == "damaged")
        same = assert_same_study(epath.Path(job.workdir), epath.Path(unbroken.workdir))
        assert not list(job.disks.glob("*/*"))
        print(
            f"  {name}: from step {expected}, {time.monotonic() - started:.0f} s; the same {same}"
        )


def damage(job: Job, host: int, part: int, step: int) -> None:
    [file] = job.disk(host).glob(f"*/*/{step}/process-*/part-{part}.bin")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_launched_job_resumes_after_its_newest_checkpoint(
    prepared: Path, tmp_path: Path, tiny_overrides: list[str]
) -> None:
    """Its workers are killed; it accepts a step that no checkpoint of the workdir has."""
    unbroken, workdir = (
        Path(shutil.copytree(prepared, tmp_path / name)) for name in ("unbroken", "workdir")
    )
    finish(start("train", unbroken, tiny_overrides, num_processes=2, options=OPTIONS))
    disk = f"--config.checkpoint.local_folder={tmp_path / 'disk'}"
    folder = make_job(workdir, [*tiny_overrides, *OPTIONS, disk])
    with Launched(folder) as job:

        def is_ahead() -> bool:
            saved = job.state().stage("train.trunk").saved_step
            return saved is not None and job.step() > saved + 3 * INTERVAL

        job.wait(is_ahead, "steps after a checkpoint")
        killed_s = time.time()
        for pid in job.workers().values():
            send(pid, signal.SIGKILL)
        resumed = job.wait_event(killed_s, "resumed")
        job.wait_done()
        attempts = attempts_of(job.events())
    assert resumed["step"] > resumed["expected"] > 0
    assert resumed["step"] % INTERVAL == 0
    lost = [one.lost_steps for one in attempts.values()]
    print(
        f"\nresumed from {resumed['step']}, the newest checkpoint was {resumed['expected']}: "
        f"{lost[0]} steps lost; the same",
        assert_same_study(epath.Path(workdir), epath.Path(unbroken)),
    )
    assert lost[1:] == [0]


MEASURE = """
import os
import time

import numpy as np
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec

from codepretrain.checkpoint.local.manager import LocalCheckpoints
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig, MeshConfig
from codepretrain.files import storage
from codepretrain.train.sharding import make_mesh

root, data = epath.Path(arguments[0]), int(arguments[1])
mesh = make_mesh(MeshConfig(data=data, fsdp=-1))
sharding = NamedSharding(mesh, PartitionSpec("fsdp"))
rng = np.random.default_rng(0)
value = rng.standard_normal((1024, 1024), dtype=np.float32)
state = {
    f"leaf-{n}": jax.make_array_from_callback(value.shape, sharding, lambda i: value[i] + n)
    for n in range(24)
}
abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state
)
config = CheckpointConfig(local_folder=str(root / f"disk-{process}"), local_interval_steps=1)
local = LocalCheckpoints(config, root / "run", abstract, identity={}, tell=print)
ordinary = Checkpoints(root / "run" / "checkpoints", CheckpointPolicy(config))
local.find(up_to=9)
local.begin(0, is_local=False)

def seconds(start, wait):
    began = time.perf_counter()
    start()
    held = time.perf_counter()
    wait()
    return held - began, time.perf_counter() - began

for step in (1, 2, 3, 4):
    to_disk = seconds(lambda: local.save(step, state, ledger={}), local.wait)
    to_workdir = seconds(
        lambda: ordinary.save(step, state, ledger={}, identity={}), ordinary.wait
    )
    if step > 1:
        print("seconds", *to_disk, *to_workdir)
[folder] = (root / f"disk-{process}").glob("*/*/4")
print("bytes", sum(storage.sizes_below(folder).values()))
ordinary.close()
"""


@pytest.mark.parametrize("data", [1, 2])
def test_what_a_save_costs(tmp_path: Path, run_job: RunJob, data: int) -> None:
    """Of 100 MB, on the CPUs and the disk of this machine: it says nothing of a pod's."""
    ends = run_job(MEASURE, tmp_path, str(data), num_processes=NUM_PROCESSES)
    assert [e.returncode for e in ends] == [0] * NUM_PROCESSES, [e.stderr[-3000:] for e in ends]
    words = [line.split() for ended in ends for line in ended.stdout.splitlines()]
    times = np.array([[float(w) for w in some[1:]] for some in words if some[0] == "seconds"])
    [size] = {int(some[1]) for some in words if some[0] == "bytes"}
    median = np.median(times, axis=0)
    print(
        f"\n{data} × {8 // data}: {size / 1e6:.1f} MB a host and local save. Median seconds of "
        f"training, and until it is written: local {median[0]:.2f}, {median[1]:.2f}; "
        f"ordinary {median[2]:.2f}, {median[3]:.2f}"
    )
    whole = 24 * 4 * 2**20
    assert size == pytest.approx(whole / (NUM_PROCESSES // 2), rel=0.01)
