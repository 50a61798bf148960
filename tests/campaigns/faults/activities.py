"""SIGTERM to a supervisor while its worker restores, compiles, steps, saves or evaluates.

The next attempt is held in the next stage by `site/sitecustomize.py`, which the workers read.
"""

import random
import signal
from dataclasses import replace
from pathlib import Path

from tests.campaigns.faults.campaign import CACHED, Fault
from tests.campaigns.faults.hosts import Hosts
from tests.campaigns.faults.processes import host_of
from tests.conftest import ROOT
from tests.launch.launched import send
from tests.launch.tiny_job import WATCHDOG, make_job

STAGES = ("restore", "compile", "step", "save", "evaluate")
SHORT_GRACE_S, LONG_GRACE_S = 3.0, 20.0
_SITE = ROOT / "tests" / "campaigns" / "faults" / "site"


class Held(Hosts):
    """A job whose next attempt is held in a stage."""

    def __init__(self, workdir: Path, options: list[str], *, grace_s: float = LONG_GRACE_S) -> None:
        self.stages = workdir.parent / f"{workdir.name}-stages"
        self.stages.mkdir()
        self.hold("none")
        environment = {
            **CACHED,
            "PYTHONPATH": f"{_SITE}:{ROOT}",
            "CODEPRETRAIN_FAULTS": str(self.stages),
        }
        watchdog = replace(WATCHDOG, grace_s=grace_s)
        super().__init__(make_job(workdir, options, watchdog=watchdog, env=environment))

    def hold(self, stage: str) -> None:
        """Holds the workers that start from now on in a stage, each once."""
        for marker in self.stages.glob("in-*"):
            marker.unlink()
        new = self.stages / "stage.new"
        new.write_text(stage)
        new.rename(self.stages / "stage")

    def is_in(self, stage: str) -> bool:
        return all((self.stages / f"in-{stage}-{host}").exists() for host in self.job.hosts)


def faults(grace_s: float, rng: random.Random) -> list[Fault]:
    """Returns a fault for each stage, in random order; the first begins with a step.

    A strike holds the next attempt in the stage of the fault after it.
    """
    stages = ["step", *rng.sample([s for s in STAGES if s != "step"], len(STAGES) - 1)]
    following = [*stages[1:], "none"]
    return [_fault(s, after, grace_s) for s, after in zip(stages, following, strict=True)]


def _fault(stage: str, following: str, grace_s: float) -> Fault:
    def aim(job: Held, rng: random.Random) -> None:
        if stage == "step":
            job.wait(job.is_stepping, "steps")
        else:
            job.wait(lambda: job.is_in(stage), f"a worker in {stage}")

    def strike(job: Held, rng: random.Random) -> int:
        job.hold(following)
        host = host_of(job, rng)
        send(job.supervisors()[host], signal.SIGTERM)
        return host

    return Fault(
        f"SIGTERM in `{stage}`, {grace_s:.0f} s of grace",
        strike,
        ("preemption",),
        aim=aim,
        until=None if following == "none" else lambda job: job.is_in(following),
    )
