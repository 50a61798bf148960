"""Faults of what is on the disk: checkpoints, rows, listings, a full disk; and a flipped bit."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.faults.activities import Held
from tests.campaigns.faults.campaign import Fault, Noticed
from tests.campaigns.faults.hosts import PLAIN, Hosts, mounted, newest_checkpoint, run_folder
from tests.campaigns.faults.processes import host_of
from tests.launch.launched import Launched, send
from tests.launch.tiny_job import make_job

_FULL_S = 6.0


def damage(path: Path, *, every: int) -> None:
    """Flips a bit of every so-many-th byte of a file."""
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), every):
        content[place] ^= 4
    path.write_bytes(content)


def kill_workers(job: Launched) -> None:
    for pid in job.workers().values():
        send(pid, signal.SIGKILL)


def damage_checkpoint(job: Hosts, rng: random.Random) -> None:
    newest_checkpoint(job)
    kill_workers(job)
    files = [path for path in newest_checkpoint(job).rglob("*") if path.is_file()]
    damage(max(files, key=lambda path: path.stat().st_size), every=10**9)


def move_checkpoints(job: Hosts, rng: random.Random) -> None:
    newest_checkpoint(job)
    kill_workers(job)
    (run_folder(job) / "checkpoints").rename(_aside(job))


def bring_checkpoints_back(job: Hosts) -> None:
    job.wait(lambda: job.state().is_over, "the end of the job")
    assert not [p for p in run_folder(job).glob("checkpoints/*") if p.name.isdigit()]
    shutil.rmtree(run_folder(job) / "checkpoints", ignore_errors=True)
    _aside(job).rename(run_folder(job) / "checkpoints")
    job.resume()


def show_old_listing(job: Hosts, rng: random.Random) -> None:
    """One host gets to see the checkpoints as they were some time before."""
    folder = newest_checkpoint(job).parent
    old = _aside(job)
    shutil.copytree(folder, old, ignore=shutil.ignore_patterns(newest_checkpoint(job).name))
    step = int(newest_checkpoint(job).name)
    job.wait(lambda: int(newest_checkpoint(job).name) > step, "a newer checkpoint")
    job.set_host(host_of(job, rng), mounted(f"mount --bind {old} {folder}"))


def damage_rows(job: Hosts, rng: random.Random) -> int:
    """One host reads other bytes from the files of the rows that it trains on."""
    commands = []
    for path in sorted(Path(job.job.workdir).glob("data/rows/*-train-*/part-*/rows.records")):
        bad = _aside(job).with_suffix(f".{path.parent.parent.name}")
        shutil.copy(path, bad)
        damage(bad, every=100)
        commands.append(f"mount --bind {bad} {path}")
    host = host_of(job, rng)
    job.set_host(host, mounted(*commands))
    return host


def retrain(job: Hosts) -> None:
    job.resume(retrain_lost=True)


def unmount(job: Hosts) -> None:
    job.wraps = dict.fromkeys(job.wraps, PLAIN)
    job.resume()
    shutil.rmtree(_aside(job), ignore_errors=True)


def flip_a_bit(job: Held, rng: random.Random) -> int:
    host = host_of(job, rng)
    job.hold(f"flip-{host}")
    kill_workers(job)
    return host


def resume_unheld(job: Held) -> None:
    job.hold("none")
    job.resume()


def fill_disk(job: Hosts, rng: random.Random) -> None:
    """Until the workers have ended, and some seconds longer; the job's folder is on it too."""
    filler = Path(job.job.workdir) / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass
    job.wait(lambda: not job.workers(), "the end of the workers")
    time.sleep(_FULL_S)
    filler.unlink()


def resume(job: Hosts) -> None:
    job.resume()


def start_another_job(job: Launched, rng: random.Random) -> Noticed:
    """On the same phase: its attempts are refused, and the first one goes on."""
    began_s = time.monotonic()
    stage = job.job.stages[0]
    options = stage.arguments[stage.arguments.index("--workdir") + 2 : -2]
    other = make_job(Path(job.job.workdir), options, name="other")
    with contextlib.ExitStack() as stack:
        second = stack.enter_context(Hosts(other))

        def refusals() -> list[dict[str, Any]]:
            return [event for event in second.events() if event["event"] == "end"]

        second.wait(lambda: len(refusals()) >= 2, "the refusal of two attempts")
        assert all("is in use" in end["message"] for end in refusals()), second.described()
        assert second.command("stop").wait() == 0
        second.wait(lambda: second.state().is_over and not second.supervisors(), "its end")
        stack.pop_all()  # leaving it would kill all workers on the working directory
    shutil.rmtree(os.fspath(other.path))
    action = "attempts of the other job are refused; goes on"
    return Noticed(action, time.monotonic() - began_s)


def _aside(job: Hosts) -> Path:
    return Path(f"{job.job.workdir}-aside")


FAULTS = (
    Fault(
        "newest checkpoint damaged", damage_checkpoint, ("damage",), mend=retrain, is_between=True
    ),
    Fault(
        "checkpoint folder moved away",
        move_checkpoints,
        ("damage",),
        mend=bring_checkpoints_back,
        is_between=True,
    ),
    Fault(
        "one host sees an old listing of the checkpoints",
        show_old_listing,
        ("damage",),
        mend=unmount,
        is_between=True,
    ),
    Fault("damaged rows on one host", damage_rows, ("damage",), mend=unmount, is_between=True),
    Fault(
        "one bit of a gradient flipped",
        flip_a_bit,
        ("damage",),
        mend=resume_unheld,
        is_between=True,
    ),
    Fault("two jobs on one workdir", start_another_job),
)
FULL_DISK = Fault("disk full under all hosts", fill_disk, ("user_error",), mend=resume)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mounts a small file system; skips the test where that is not allowed."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
