"""Faults of processes: killed, stopped, told to end, alive but stuck, starved."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.campaigns.faults.campaign import Fault, Noticed
from tests.conftest import ROOT
from tests.launch.launched import Launched, send, wait_for

PAUSE_S = 12.0  # longer than a heartbeat of the job: the host is lost
_CGROUP = Path("/sys/fs/cgroup/cpu")
_QUOTA_US = 15_000  # of CPU time in each 100 ms


def host_of(job: Launched, rng: random.Random) -> int:
    return rng.choice(list(job.job.hosts))


def conductor_of(job: Launched) -> int:
    """Returns the host that conducts, waiting for one."""
    return wait_for(lambda: (c := job.conductor()) is not None and [c], "a conductor")[0]


def other_host(job: Launched, rng: random.Random) -> int:
    """Returns a host that does not conduct."""
    conductor = conductor_of(job)
    return rng.choice([host for host in job.job.hosts if host != conductor])


def kill_worker(job: Launched, rng: random.Random) -> int:
    send(job.workers()[1], signal.SIGKILL)
    return 1


def kill_coordinator(job: Launched, rng: random.Random) -> int:
    send(job.workers()[0], signal.SIGKILL)
    return 0


def kill_workers(job: Launched, rng: random.Random) -> None:
    for pid in job.workers().values():
        send(pid, signal.SIGKILL)


def stop_worker(job: Launched, rng: random.Random) -> int:
    host = host_of(job, rng)
    send(job.workers()[host], signal.SIGSTOP)
    return host


def stick_worker(job: Launched, rng: random.Random) -> int:
    """Stops the main thread alone: the threads that tell the peers that it is alive go on."""
    host = host_of(job, rng)
    pid = job.workers()[host]
    words = [sys.executable, "-m", "tests.campaigns.faults.stop_thread", str(pid)]
    stopping = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    job.attached.append(stopping)
    assert stopping.stdout is not None
    with stopping.stdout:
        assert stopping.stdout.readline() == b"stopped\n"
    return host


def kill_supervisor(job: Launched, rng: random.Random) -> int:
    host = other_host(job, rng)
    send(job.supervisors()[host], signal.SIGKILL)
    return host


def kill_conductor(job: Launched, rng: random.Random) -> int:
    host = conductor_of(job)
    send(job.supervisors()[host], signal.SIGKILL)
    return host


def suspend_supervisor(job: Launched, rng: random.Random) -> int:
    host = other_host(job, rng)
    pid = job.supervisors()[host]
    send(pid, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    send(pid, signal.SIGCONT)
    return host


def suspend_conductor(job: Launched, rng: random.Random) -> int:
    host = conductor_of(job)
    pid = job.supervisors()[host]
    send(pid, signal.SIGSTOP)
    wait_for(lambda: job.conductor() not in (None, host), "another conductor")
    time.sleep(PAUSE_S)
    send(pid, signal.SIGCONT)
    return host


def terminate_supervisor(job: Launched, rng: random.Random) -> int:
    host = host_of(job, rng)
    send(job.supervisors()[host], signal.SIGTERM)
    return host


def terminate_worker(job: Launched, rng: random.Random) -> None:
    send(job.workers()[host_of(job, rng)], signal.SIGTERM)  # all save and end alike


def kill_everything(job: Launched, rng: random.Random) -> None:
    job.kill_all()
    job.start_keeper()


def kill_keeper(job: Launched, rng: random.Random) -> int:
    """And one supervisor after it, which only the next keeper starts again."""
    for pid in job.keepers():
        send(pid, signal.SIGKILL)
    host = host_of(job, rng)
    send(job.supervisors()[host], signal.SIGKILL)
    job.start_keeper()
    return host


def stop_and_resume(job: Launched, rng: random.Random) -> None:
    """By the two commands; every process of the job ends in between."""
    assert job.command("stop").wait(60) == 0, job.described()
    job.wait(lambda: job.state().state == "STOPPED", "STOPPED")
    job.wait(lambda: not job.supervisors() and not job.keepers(), "the end of all processes")
    assert job.command("resume", "--detach").wait(120) == 0, job.described()


def starve_worker(job: Launched, rng: random.Random) -> Noticed:
    """A CPU quota of one worker; it is to be named, and nothing is to end."""
    began_s = time.monotonic()
    attempt = next(iter(job.state().live))
    log = Path(job.folder.log(attempt, 0))
    num_before = log.read_text().count("slow hosts")
    group = _CGROUP / f"codepretrain-faults-{os.getpid()}"
    group.mkdir()
    worker = job.workers()[1]
    try:
        (group / "cpu.cfs_quota_us").write_text(str(_QUOTA_US))
        (group / "cgroup.procs").write_text(str(worker))
        job.wait(lambda: log.read_text().count("slow hosts") > num_before, "a slow host")
    finally:
        (_CGROUP / "cgroup.procs").write_text(str(worker))
        group.rmdir()
    line = [line for line in log.read_text().splitlines() if "slow hosts" in line][-1]
    assert "process 1 " in line, line
    return Noticed("named as slow; goes on", time.monotonic() - began_s)


FAULTS = (
    Fault("kill -9 of a worker", kill_worker, ("crash",)),
    Fault("kill -9 of the worker with the coordinator", kill_coordinator, ("crash",)),
    Fault("kill -9 of all workers", kill_workers, ("crash",)),
    Fault("SIGSTOP of a worker", stop_worker, ("hang",)),
    Fault("a worker alive, its main thread stopped (ptrace)", stick_worker, ("hang",)),
    Fault("kill -9 of a supervisor", kill_supervisor, ("lost_host",)),
    Fault("kill -9 of the conductor's supervisor", kill_conductor, ("lost_host",)),
    Fault(f"SIGSTOP of a supervisor for {PAUSE_S:.0f} s", suspend_supervisor, ("lost_host",)),
    Fault("SIGSTOP of the conductor's supervisor", suspend_conductor, ("lost_host",)),
    Fault("SIGTERM to a supervisor", terminate_supervisor, ("preemption",)),
    Fault("SIGTERM to a worker", terminate_worker, ("preemption",)),
    Fault("kill -9 of keeper and a supervisor", kill_keeper, ("lost_host",)),
    Fault("kill -9 of all processes", kill_everything, ("lost_host",)),
    Fault("`launch stop`, `launch resume`", stop_and_resume, ("stopped",)),
    Fault("CPU quota of 15% for a worker", starve_worker),
)
