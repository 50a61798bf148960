"""Faults of a host or of what connects hosts: gone, late, cut off, with a wrong clock, full."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.campaigns.faults.campaign import Fault, Struck, note
from tests.campaigns.faults.hosts import PLAIN, Hosts, Wrap, mounted
from tests.campaigns.faults.network import Network
from tests.campaigns.faults.processes import PAUSE_S, conductor_of, host_of
from tests.launch.launched import send

_CLOCK = Path(__file__).with_name("skewed_clock.c")
_LOCAL_DISK = "/var/tmp/codepretrain-faults"


def remove_host(job: Hosts, rng: random.Random) -> int:
    """For longer than a heartbeat."""
    host = host_of(job, rng)
    job.absent.add(host)
    send(job.supervisors()[host], signal.SIGKILL)
    time.sleep(PAUSE_S)
    job.absent.clear()
    return host


def partition(network: Network) -> Fault:
    """Returns a partition that lasts until the attempt has ended."""

    def strike(job: Hosts, rng: random.Random) -> None:
        [before] = job.state().live
        network.connect(False)
        try:
            job.wait(lambda: before not in job.state().live, "the end of the attempt")
            time.sleep(rng.uniform(0, 5))
        finally:
            network.connect(True)

    return Fault("hosts cut off from each other (network namespaces)", strike, ("lost_host",))


def has_compiler() -> bool:
    """Returns whether wrong clocks can be made here."""
    return shutil.which("cc") is not None


def skewed_clocks(folder: Path) -> tuple[Fault, ...]:
    """Returns a clock that is ahead, and one that is behind; builds them in `folder`.

    libfaketime does not serve: with real monotonic clocks its sleeps fail (EINVAL, version 0.9.10).
    """
    library = folder / "skewed_clock.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(_CLOCK), "-ldl"]
    subprocess.run(command, check=True)
    return _skewed(library, 1), _skewed(library, -1)


def _skewed(library: Path, hours: int) -> Fault:
    wrap = Wrap(
        environment={"LD_PRELOAD": str(library), "CLOCK_SKEW_S": str(hours * 3600)},
    )

    def strike(job: Hosts, rng: random.Random) -> int:
        """The host that conducts starts again with a wrong clock, and is to conduct later."""
        host = conductor_of(job)
        job.wraps = dict.fromkeys(job.wraps, PLAIN)
        job.set_host(host, wrap)
        return host

    ahead = "ahead" if hours > 0 else "behind"
    return Fault(f"clock of a host {abs(hours)} h {ahead}", strike, ("lost_host",))


def full_local_disk(job: Hosts, rng: random.Random) -> int:
    """A host starts again with a full disk of its own; nothing there is needed."""
    host = host_of(job, rng)
    disk = mounted(
        f"mkdir -p {_LOCAL_DISK}",
        f"mount -t tmpfs -o size=64k tmpfs {_LOCAL_DISK}",
        f"(head -c 128k /dev/zero > {_LOCAL_DISK}/filler 2> /dev/null || true)",
    )
    job.set_host(host, Wrap(disk.command, {"TMPDIR": _LOCAL_DISK}))
    return host


FAULTS = (
    Fault(f"a host gone for {PAUSE_S:.0f} s", remove_host, ("lost_host",)),
    Fault("local disk of a host full", full_local_disk, ("lost_host",)),
)


class Late(Hosts):
    """A job one host of which is missing at the start, until it has been named."""

    def __enter__(self) -> Self:
        missing = self.job.hosts[-1]
        self.absent.add(missing)
        began_s = time.monotonic()
        super().__enter__()
        self.wait(lambda: self.state().missing == (missing,), "the name of the missing host")
        named_s = time.monotonic() - began_s
        time.sleep(3)
        self.absent.clear()
        self.wait(self.is_stepping, "steps")
        note(
            Struck(
                fault="a host missing at the start",
                detected_s=named_s,
                action="named; waits for it",
                again_s=time.monotonic() - began_s,
                lost_steps=0,
                load=os.getloadavg()[0],
            )
        )
        return self
