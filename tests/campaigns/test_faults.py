"""Launched, broken in every way, and kept going: the bits of a run that nobody touched.

    make test-faults                     FAULT_ROUNDS=4: each fault four times

Jobs on two local hosts train the tiny study's trunk while faults strike at random moments, one
after another. Each fault must be seen, the gang must be started again and make steps. At the end
the data order, every loss, the evaluations and the last parameters, moments and counters are
compared with those of two processes without `launch` that nobody touched. A table is printed:

    fault | detected after | action | again in steps after | steps lost
"""

import random
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import pytest
from etils import epath

from tests.campaigns.faults import activities, campaign, data, machines, processes
from tests.campaigns.faults.campaign import CACHED, OPTIONS, SEED, Fault, Struck
from tests.campaigns.faults.hosts import Hosts
from tests.campaigns.faults.network import network
from tests.campaigns.test_hosts import start
from tests.fixtures.processes import wait_for_all
from tests.fixtures.study_bits import assert_same_study
from tests.launch.launched import Launched
from tests.launch.tiny_job import make_job

pytestmark = pytest.mark.campaign

Begin = Callable[[Path], AbstractContextManager[Launched]]


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, tiny_overrides: list[str]
) -> Path:
    workdir = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("unbroken") / "workdir"))
    started = start("train", workdir, tiny_overrides, num_processes=2, options=OPTIONS)
    for ended in wait_for_all(started, timeout_s=1800):
        assert ended.returncode == 0, ended.stdout
    return workdir


@pytest.fixture
def suffer(
    prepared: Path, tmp_path: Path, unbroken: Path
) -> Callable[[Begin, list[list[Fault]], random.Random], list[Struck]]:
    """Strikes all faults, on as many jobs as they need, and compares the bits of each job.

    Faults in one list follow each other; before each list, the job makes steps.
    """

    def run(begin: Begin, plan: list[list[Fault]], rng: random.Random) -> list[Struck]:
        struck: list[Struck] = []
        left = list(plan)
        num_jobs = 0
        while left:
            num_jobs += 1
            workdir = Path(shutil.copytree(prepared, tmp_path / f"workdir-{num_jobs}"))
            with begin(workdir) as job:
                while left and campaign.has_room(job):
                    struck += [campaign.strike(job, fault, rng) for fault in left.pop(0)]
                job.wait_done()
            compared = assert_same_study(epath.Path(workdir), epath.Path(unbroken))
            print(f"job {num_jobs}: bit for bit the unbroken run: {compared}", flush=True)
            shutil.rmtree(workdir)
        print(campaign.table(map(asdict, struck)))
        return struck

    return run


def test_faults_of_processes(suffer: Callable, tiny_overrides: list[str]) -> None:
    rng = random.Random(SEED)
    suffer(
        lambda workdir: Launched(make_job(workdir, [*tiny_overrides, *OPTIONS], env=CACHED)),
        campaign.plan(processes.FAULTS, rng),
        rng,
    )


@pytest.mark.parametrize("grace_s", [activities.SHORT_GRACE_S, activities.LONG_GRACE_S])
def test_sigterm_in_each_activity(
    suffer: Callable, tiny_overrides: list[str], grace_s: float
) -> None:
    rng = random.Random(SEED)
    suffer(
        lambda workdir: activities.Held(workdir, [*tiny_overrides, *OPTIONS], grace_s=grace_s),
        [activities.faults(grace_s, rng) for _ in range(campaign.ROUNDS)],
        rng,
    )


def test_faults_of_data(suffer: Callable, tiny_overrides: list[str]) -> None:
    rng = random.Random(SEED)
    suffer(
        lambda workdir: activities.Held(workdir, [*tiny_overrides, *OPTIONS]),
        campaign.plan(data.FAULTS, rng),
        rng,
    )


def test_faults_of_hosts(suffer: Callable, tmp_path: Path, tiny_overrides: list[str]) -> None:
    """Missing at the start, gone, with a full disk, with a wrong clock."""
    rng = random.Random(SEED)
    skewed = machines.skewed_clocks(tmp_path) if machines.has_compiler() else ()
    if not skewed:
        print("skipped: wrong clocks, which need a C compiler")

    def begin(workdir: Path) -> Hosts:
        return machines.Late(make_job(workdir, [*tiny_overrides, *OPTIONS], env=CACHED))

    suffer(begin, campaign.plan([*machines.FAULTS, *skewed], rng), rng)


def test_partition(suffer: Callable, tmp_path: Path, tiny_overrides: list[str]) -> None:
    """The hosts have addresses of their own, so the machine is not `local`."""
    rng = random.Random(SEED)
    options = [*tiny_overrides, *OPTIONS, "--cpu-devices=1"]
    with network(tmp_path) as between:
        suffer(
            lambda workdir: Hosts(
                make_job(workdir, options, kind="tpu_vm", topology="v5e:2x4", env=CACHED),
                between.wraps(),
            ),
            [[machines.partition(between)] for _ in range(campaign.ROUNDS)],
            rng,
        )


def test_full_disk(
    prepared: Path, tmp_path: Path, unbroken: Path, tiny_overrides: list[str]
) -> None:
    rng = random.Random(SEED)
    workdir = tmp_path / "workdir"
    with data.small_disk(workdir):
        shutil.copytree(prepared, workdir, dirs_exist_ok=True)
        with Hosts(make_job(workdir, [*tiny_overrides, *OPTIONS], env=CACHED)) as job:
            for _ in range(campaign.ROUNDS):
                if campaign.has_room(job):
                    campaign.strike(job, data.FULL_DISK, rng)
            job.wait_done()
        print(assert_same_study(epath.Path(workdir), epath.Path(unbroken)))
