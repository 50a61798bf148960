"""Launched, broken in every way, and kept going: the bits of a run that nobody touched.

    make test-faults

A job on two local hosts trains the tiny study's trunk while faults strike at random moments, one
after another. Each fault must be seen, the gang must be started again and make steps. At the end
the data order, every loss, the evaluations and the last parameters, moments and counters are
compared with those of two processes without `launch` that nobody touched. A table is printed:

    fault | detected after | action | again in steps after | steps lost
"""

import random
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from etils import epath

from codepretrain.launch.events import Event, seconds
from tests.campaigns.test_hosts import start
from tests.fixtures.processes import wait_for_all
from tests.fixtures.study_bits import assert_same_study
from tests.launch.launched import Launched, send, wait_for
from tests.launch.tiny_job import make_job

pytestmark = pytest.mark.campaign

ROUNDS = 1  # of all faults
STEPS = 400
OPTIONS = [
    f"--config.phases.trunk.tokens={STEPS * 8 * 64}",
    "--config.checkpoint.temporary_interval_s=1.0",
    "--config.checkpoint.permanent_interval_steps=100",
    "--config.evals.validation.interval_steps=100",
]
PAUSE_S = 12.0  # longer than a heartbeat of the job: the host is lost


@dataclass(frozen=True)
class Fault:
    """What is done to a job, and the causes by which its attempt may end.

    strike: does it, and returns the host that the end of the attempt must name, None for any.
    """

    name: str
    strike: Callable[[Launched, random.Random], int | None]
    causes: tuple[str, ...]


def host_of(job: Launched, rng: random.Random) -> int:
    return rng.choice(list(job.job.hosts))


def conductor_of(job: Launched) -> int:
    """Returns the host that conducts, waiting for one."""
    return wait_for(lambda: (c := job.conductor()) is not None and [c], "a conductor")[0]


def kill_worker(job: Launched, rng: random.Random) -> int | None:
    send(job.workers()[1], signal.SIGKILL)
    return 1


def kill_coordinator(job: Launched, rng: random.Random) -> int | None:
    send(job.workers()[0], signal.SIGKILL)
    return 0


def stop_worker(job: Launched, rng: random.Random) -> int | None:
    host = host_of(job, rng)
    send(job.workers()[host], signal.SIGSTOP)
    return host


def kill_supervisor(job: Launched, rng: random.Random) -> int | None:
    host = rng.choice([host for host in job.job.hosts if host != job.conductor()])
    send(job.supervisors()[host], signal.SIGKILL)
    return host


def kill_conductor(job: Launched, rng: random.Random) -> int | None:
    host = conductor_of(job)
    send(job.supervisors()[host], signal.SIGKILL)
    return host


def suspend_supervisor(job: Launched, rng: random.Random) -> int | None:
    host = rng.choice([host for host in job.job.hosts if host != job.conductor()])
    pid = job.supervisors()[host]
    send(pid, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    send(pid, signal.SIGCONT)
    return host


def suspend_conductor(job: Launched, rng: random.Random) -> int | None:
    host = conductor_of(job)
    pid = job.supervisors()[host]
    send(pid, signal.SIGSTOP)
    wait_for(lambda: job.conductor() not in (None, host), "another conductor")
    time.sleep(PAUSE_S)
    send(pid, signal.SIGCONT)
    return host


def terminate_supervisor(job: Launched, rng: random.Random) -> int | None:
    host = host_of(job, rng)
    send(job.supervisors()[host], signal.SIGTERM)
    return host


def terminate_worker(job: Launched, rng: random.Random) -> int | None:
    send(job.workers()[host_of(job, rng)], signal.SIGTERM)
    return None  # all save and end alike


def kill_everything(job: Launched, rng: random.Random) -> int | None:
    job.kill_all()
    job.start_keeper()
    return None


def kill_keeper(job: Launched, rng: random.Random) -> int | None:
    """And one supervisor after it, which only the next keeper starts again."""
    for pid in job.keepers():
        send(pid, signal.SIGKILL)
    host = host_of(job, rng)
    send(job.supervisors()[host], signal.SIGKILL)
    job.start_keeper()
    return host


def stop_and_resume(job: Launched, rng: random.Random) -> int | None:
    """By the two commands; every process of the job ends in between."""
    assert job.command("stop").wait(60) == 0, job.described()
    job.wait(lambda: job.state().state == "STOPPED", "STOPPED")
    job.wait(lambda: not job.supervisors() and not job.keepers(), "the end of all processes")
    assert job.command("resume", "--detach").wait(120) == 0, job.described()
    return None


FAULTS = (
    Fault("kill -9 of a worker", kill_worker, ("crash",)),
    Fault("kill -9 of the worker with the coordinator", kill_coordinator, ("crash",)),
    Fault("SIGSTOP of a worker", stop_worker, ("hang",)),
    Fault("kill -9 of a supervisor", kill_supervisor, ("lost_host",)),
    Fault("kill -9 of the conductor's supervisor", kill_conductor, ("lost_host",)),
    Fault(f"SIGSTOP of a supervisor for {PAUSE_S:.0f} s", suspend_supervisor, ("lost_host",)),
    Fault("SIGSTOP of the conductor's supervisor", suspend_conductor, ("lost_host",)),
    Fault("SIGTERM to a supervisor", terminate_supervisor, ("preemption",)),
    Fault("SIGTERM to a worker", terminate_worker, ("preemption",)),
    Fault("kill -9 of keeper and a supervisor", kill_keeper, ("lost_host",)),
    Fault("kill -9 of all processes", kill_everything, ("lost_host",)),
    Fault("launch stop, launch resume", stop_and_resume, ("stopped",)),
)


@dataclass(frozen=True)
class Struck:
    """What came of one fault; times in seconds from the moment at which it struck."""

    fault: str
    detected_s: float
    action: str
    again_s: float
    lost_steps: int


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, tiny_overrides: list[str]
) -> Path:
    workdir = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("unbroken") / "workdir"))
    processes = start("train", workdir, tiny_overrides, num_processes=2, options=OPTIONS)
    for ended in wait_for_all(processes, timeout_s=1800):
        assert ended.returncode == 0, ended.stdout
    return workdir


def test_every_fault(
    prepared: Path, tmp_path: Path, unbroken: Path, tiny_overrides: list[str]
) -> None:
    rng = random.Random(11)
    struck: list[Struck] = []
    plan = _plan(rng)
    fault: Fault | None = next(plan, None)
    num_runs = 0
    while fault is not None:
        num_runs += 1
        workdir = Path(shutil.copytree(prepared, tmp_path / f"workdir-{num_runs}"))
        folder = make_job(workdir, [*tiny_overrides, *OPTIONS])
        with Launched(folder) as job:
            while fault is not None and _is_ready(job, rng):
                struck.append(_strike(job, fault, rng))
                print(f"{len(struck)}: {struck[-1]}", flush=True)
                fault = next(plan, None)
            job.wait_done()
        compared = assert_same_study(epath.Path(workdir), epath.Path(unbroken))
        print(f"run {num_runs}: bit for bit the unbroken run: {compared}", flush=True)
        shutil.rmtree(workdir)
    print(_table(struck))


def _plan(rng: random.Random) -> Iterator[Fault]:
    for _ in range(ROUNDS):
        yield from rng.sample(FAULTS, len(FAULTS))


def _is_ready(job: Launched, rng: random.Random) -> bool:
    """Waits for a random moment at which the gang makes steps; False if too few are left."""
    job.wait(lambda: job.is_stepping() or job.state().is_over, "steps")
    time.sleep(rng.uniform(0, 3))
    return not job.state().is_over and 0 <= job.step() < 0.9 * STEPS


def _strike(job: Launched, fault: Fault, rng: random.Random) -> Struck:
    before = next(iter(job.state().live))
    at_s = time.time()
    host = fault.strike(job, rng)
    end = job.wait_event(at_s, "end", attempt=before)
    assert end["cause"] in fault.causes, (fault.name, end, job.described())
    assert host in (None, end["host"]), (fault.name, host, end, job.described())
    first = next(e for e in job.events() if _tells(e, at_s))
    start = job.wait_event(at_s, "resumed")
    assert start["step"] >= (start["expected"] or 0)
    job.wait(job.is_stepping, "steps after the restart")
    where = "" if end["host"] is None else f" (host {end['host']})"
    return Struck(
        fault=fault.name,
        detected_s=seconds(first["time"]) - at_s,
        action=f"{end['cause']}{where}: gang restarted",
        again_s=time.time() - at_s,
        lost_steps=end["lost_steps"],
    )


def _tells(event: Event, at_s: float) -> bool:
    return event["event"] in ("closing", "end") and seconds(event["time"]) >= at_s


def _table(struck: list[Struck]) -> str:
    """Returns medians and maxima by fault, as the rows of a Markdown table."""
    lines = [
        "| fault | times | detected after, s | action | in steps again after, s | steps lost |",
        "|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        mine = [s for s in struck if s.fault == fault.name]
        if mine:
            cells = [
                fault.name,
                str(len(mine)),
                _spread([s.detected_s for s in mine]),
                "; ".join(sorted({s.action for s in mine})),
                _spread([s.again_s for s in mine]),
                _spread([float(s.lost_steps) for s in mine]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f}, at most {max(values):.0f}"
