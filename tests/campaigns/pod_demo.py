"""The demo study by `launch` on this machine, with faults: the results of `make demo`.

    make pod-demo

Four processes of two CPU devices each train experiments/demo.py. While they do, one worker is
killed, one is stopped, and one supervisor is killed. At the end the fingerprints of all phases, and
the ledgers with the digests of all batches, are compared with those of `make demo`, which runs
first: what it has already is not made again.

What happens is printed, and the status is a page, <workdir>/status.html, that refreshes itself.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codepretrain.cli.launch_follow import told, write_page
from codepretrain.files import storage
from codepretrain.launch.events import seconds
from codepretrain.launch.looking import Looker
from codepretrain.launch.status import JobStatus
from codepretrain.launch.wording import duration
from tests.conftest import ROOT
from tests.launch.launched import Launched, send, submit

CONFIG = "experiments/demo.py"
MACHINE = [
    *("--machine", "launch/local.py", "--machine.machine.hosts=4"),
    "--machine.machine.cpu_devices=2",
    # Seconds that fit a demonstration: it is not to wait for minutes.
    *("--machine.watchdog.heartbeat_s=15", "--machine.watchdog.step_min_s=60"),
    *("--machine.restart.backoff_s=1", "--machine.restart.max_failures=20"),
]
PERIOD_S, PROGRESS_S = 1.0, 30.0  # between two looks, and between two lines without news
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


@dataclass
class Watched:
    """A job that prints what happens while it is waited for, and writes its page."""

    job: Launched
    page: Path
    deadline_s: float

    def __post_init__(self) -> None:
        self._looker = Looker(self.job.folder)
        self._num_told, self._told_s = 0, time.monotonic()

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Waits until something is so. Raises SystemExit when there is no time left."""
        while not until():
            self.look()
            if time.monotonic() > self.deadline_s:
                raise SystemExit(f"there was no time left for {what} (--timeout-s)")
            time.sleep(PERIOD_S)

    def look(self) -> None:
        """Prints new events, or now and then how far the job is, and writes the page."""
        status = self._looker.status()
        write_page(self.page, status, self._looker)
        new = [told(e) for e in self._looker.events[self._num_told :] if e["event"] in _TOLD]
        self._num_told = len(self._looker.events)
        if not new and time.monotonic() - self._told_s > PROGRESS_S:
            new = [_progress(status)]
        if new:
            print("\n".join(new), flush=True)
            self._told_s = time.monotonic()


def _progress(status: JobStatus) -> str:
    done = sum(stage.state == "DONE" for stage in status.stages)
    running = [f"{s.name} step {s.step} of {s.num_steps}" for s in status.stages if s.attempt]
    return ", ".join([f"{status.state}: {done} of {len(status.stages)} stages done", *running])


def main() -> int:
    """Runs the demonstration; returns 0 if all results are equal."""
    flags = _flags()
    begun_s = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if storage.names(flags.workdir / "runs"):
        print(f"{flags.workdir} has runs: remove it, or give another --workdir", file=sys.stderr)
        return 2
    print(f"make demo, in {flags.expected}", flush=True)
    run_demo(flags.expected)
    job = submit(flags.workdir, "--config", CONFIG, *MACHINE)
    page = flags.workdir / "status.html"
    print(f"status: {page}", flush=True)
    try:
        watched = Watched(job, page, begun_s + flags.timeout_s)
        rng = random.Random(flags.seed)
        struck = [strike(watched, fault, rng) for fault in FAULTS]
        watched.wait(lambda: job.state().is_over, "the end of the job")
        watched.look()
    finally:
        job.kill_all()  # nothing is left if it is over
    state = job.state()
    print("\n".join([f"\njob {job.job.name}: {state.state}: {state.why}\n", *struck]))
    num_phases = sum(stage.phase is not None for stage in job.job.stages)
    is_same = compare(flags.workdir, flags.expected, num_phases=num_phases)
    print(f"status: {page}\ntotal: {duration(time.monotonic() - begun_s)}")
    return 0 if state.state == "DONE" and is_same else 1


def strike(
    watched: Watched, fault: Callable[[Launched, random.Random], str], rng: random.Random
) -> str:
    """Breaks something while steps are made; returns what came of it."""
    while (found := _strike_once(watched, fault, rng)) is None:
        pass
    return found


def _strike_once(
    watched: Watched, fault: Callable[[Launched, random.Random], str], rng: random.Random
) -> str | None:
    """Returns what came of a fault, None if the phase ended before it was felt."""
    job = watched.job
    watched.wait(lambda: job.is_stepping() or job.state().is_over, "steps")
    time.sleep(rng.uniform(0, 3))
    if job.state().is_over:
        raise SystemExit(f"the job was over before {fault.__name__}: {job.state().why}")
    if not job.is_stepping():
        return None
    before, at_s = next(iter(job.state().live)), time.time()
    what = fault(job, rng)
    print(f"{what}: strikes", flush=True)
    watched.wait(lambda: before not in job.state().live, f"the end of {before}")
    end = job.wait_event(0.0, "end", attempt=before)
    if end["cause"] == "done":
        return None
    ended_s = seconds(end["time"])
    watched.wait(lambda: _resumed(job, ended_s), "the next attempt")
    start = job.wait_event(ended_s, "resumed")
    return (
        f"{what}: {end['cause']} after {ended_s - at_s:.0f} s ({end['message']}); "
        f"resumed at step {start['step']} after {seconds(start['time']) - at_s:.0f} s, "
        f"{end['lost_steps']} steps repeated"
    )


def _resumed(job: Launched, after_s: float) -> bool:
    return any(e["event"] == "resumed" and seconds(e["time"]) >= after_s for e in job.events())


def compare(ours: Path, theirs: Path, *, num_phases: int) -> bool:
    """Prints whether fingerprint and ledger of each phase are the same; returns whether all are.

    `theirs` may have runs of earlier corpora as well: another fingerprint is another run.
    """
    ours_runs, their_runs = (ledgers(workdir) for workdir in (ours, theirs))
    is_same = len(ours_runs) == num_phases
    print(f"\n{'phase-fingerprint':50} {'digest of all batches':24} as in {theirs}")
    for run, mine in sorted(ours_runs.items()):
        other = their_runs.get(run)
        verdict = "yes" if mine == other else f"no: {'no such run' if other is None else other}"
        print(f"{run:50} {str(mine['digest'])[:20]:24} {verdict}")
        is_same &= mine == other
    if len(ours_runs) != num_phases:
        print(f"{len(ours_runs)} of {num_phases} phases have a ledger")
    print("all results are equal" if is_same else "results DIFFER")
    return is_same


def ledgers(workdir: Path) -> dict[str, dict[str, object]]:
    """Returns the ledger of each run, with its digest, by the run's name with its fingerprint."""
    return {p.parent.name: storage.read_json(p) for p in (workdir / "runs").glob("*/ledger.json")}


def run_demo(workdir: Path) -> None:
    """Runs the demo as `make demo` does; its output goes where ours goes."""
    command = [sys.executable, "-m", "codepretrain", "run", "--config", CONFIG]
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    done = subprocess.run([*command, "--workdir", str(workdir)], cwd=ROOT, env=environment)
    if done.returncode:
        raise SystemExit(done.returncode)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=ROOT / "workdir-pod", help="of the job")
    parser.add_argument(
        "--expected", type=Path, default=ROOT / "workdir", help="of `make demo`, to compare with"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the faults")
    parser.add_argument("--timeout-s", type=float, default=7200.0, help="for everything")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
