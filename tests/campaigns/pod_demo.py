"""The demo study by `launch` on this machine, with faults: the results of `make demo`.

    make pod-demo

Four processes of two CPU devices each train experiments/demo.py. While they do, one worker is
killed, one is stopped, and one supervisor is killed. At the end the fingerprints of all phases and
the digests of all batches are compared with those of `make demo`, whose working directory is made
first if there is none.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from codepretrain.cli.launch_follow import told
from codepretrain.files import storage
from codepretrain.launch.events import Event, seconds
from codepretrain.launch.job_folder import job_folder
from tests.conftest import ROOT
from tests.launch.launched import Launched, send

CONFIG = "experiments/demo.py"
MACHINE = [
    *("--machine", "launch/local.py", "--machine.machine.hosts=4"),
    "--machine.machine.cpu_devices=2",
    # Seconds that fit a demonstration: it is not to wait for minutes.
    *("--machine.watchdog.heartbeat_s=10", "--machine.watchdog.step_min_s=60"),
    *("--machine.restart.backoff_s=1", "--machine.restart.max_failures=20"),
]
TIMEOUT_S = 3600.0
_TOLD = ("state", "attempt", "resumed", "hang", "lost_host", "closing", "end")


def kill_worker(job: Launched, rng: random.Random) -> str:
    host = rng.choice(sorted(job.workers()))
    send(job.workers()[host], signal.SIGKILL)
    return f"kill -9 of the worker of host {host}"


def stop_worker(job: Launched, rng: random.Random) -> str:
    host = rng.choice(sorted(job.workers()))
    send(job.workers()[host], signal.SIGSTOP)
    return f"SIGSTOP of the worker of host {host}"


def kill_supervisor(job: Launched, rng: random.Random) -> str:
    host = rng.choice(sorted(job.supervisors()))
    send(job.supervisors()[host], signal.SIGKILL)
    return f"kill -9 of the supervisor of host {host}"


FAULTS: Sequence[Callable[[Launched, random.Random], str]] = (
    kill_worker,
    stop_worker,
    kill_supervisor,
)


def main() -> int:
    """Runs the demonstration; returns 0 if all results are equal."""
    flags = _flags()
    if not (flags.expected / "reports" / "demo" / "results.json").exists():
        print(f"there is no finished demo in {flags.expected}: runs it first", flush=True)
        _run("run", "--config", CONFIG, "--workdir", str(flags.expected))
    job = submit(flags.workdir)
    rng = random.Random(flags.seed)
    struck = [strike(job, fault, rng) for fault in FAULTS]
    job.wait(lambda: job.state().is_over, "the end of the job", TIMEOUT_S)
    for event in job.events():
        if event["event"] in _TOLD:
            print(told(event))
    state = job.state()
    print(f"\njob {job.job.name}: {state.state}: {state.why}\n")
    for fault in struck:
        print(fault)
    return 0 if state.state == "DONE" and compare(flags.workdir, flags.expected) else 1


def submit(workdir: Path) -> Launched:
    """Starts the job, detached from this process."""
    where = ["--workdir", str(workdir), "--detach", "--yes"]
    output = _run("launch", "submit", "--config", CONFIG, *MACHINE, *where)
    name = re.search(r"^job (\S+)$", output, re.MULTILINE)
    assert name is not None, output
    return Launched(job_folder(storage.parse(workdir), name[1]))


def strike(
    job: Launched, fault: Callable[[Launched, random.Random], str], rng: random.Random
) -> str:
    """Breaks something while steps are made; returns what came of it."""
    job.wait(lambda: job.is_stepping() or job.state().is_over, "steps", TIMEOUT_S)
    time.sleep(rng.uniform(0, 3))
    job.wait(lambda: job.is_stepping() or job.state().is_over, "steps", TIMEOUT_S)
    at_s = time.time()
    what = fault(job, rng)
    print(f"{what}: strikes", flush=True)
    end = _first(job, at_s, "end")
    start = _first(job, at_s, "resumed")
    return (
        f"{what}: {end['cause']} after {seconds(end['time']) - at_s:.0f} s ({end['message']}); "
        f"resumed at step {start['step']} after {seconds(start['time']) - at_s:.0f} s, "
        f"{end['lost_steps']} steps repeated"
    )


def _first(job: Launched, at_s: float, kind: str) -> Event:
    return job.wait_event(at_s, kind)


def compare(ours: Path, theirs: Path) -> bool:
    """Prints whether fingerprint and digest of each phase are the same; returns whether all are."""
    ours_runs, their_runs = (digests(workdir) for workdir in (ours, theirs))
    is_same = bool(their_runs)
    print(f"\n{'phase-fingerprint':50} {'digest of all batches':24} as in {theirs}")
    for run in sorted(ours_runs.keys() | their_runs.keys()):
        mine, other = ours_runs.get(run, "not there"), their_runs.get(run, "not there")
        print(f"{run:50} {mine[:20]:24} {'yes' if mine == other else f'no: {other[:20]}'}")
        is_same &= mine == other
    if not ours_runs.keys() & their_runs.keys():
        print(
            "no phase is the same: have packages been installed since? the demo's corpora are they"
        )
    print("all results are equal" if is_same else "results DIFFER")
    return is_same


def digests(workdir: Path) -> dict[str, str]:
    """Returns the digest of each run's batches by the run's name, which has its fingerprint."""
    return {
        path.parent.name: str(storage.read_json(path)["digest"])
        for path in (workdir / "runs").glob("*/ledger.json")
    }


def _run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "codepretrain", *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")},
    )
    print(done.stdout, flush=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=ROOT / "workdir-pod", help="of the job")
    parser.add_argument(
        "--expected", type=Path, default=ROOT / "workdir", help="of `make demo`, to compare with"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the faults")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
