"""A launched job on an object store that fails, is slow, refuses for rate, and lists old names.

    make test-faults

The store is the emulator of `tests/fixtures/gcs_emulator.py` behind the proxy of
`tests/fixtures/failing_store.py`. The bits at the end are those of a run on the local disk.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from etils import epath

from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from tests.campaigns.faults import campaign
from tests.campaigns.faults.campaign import CACHED, OPTIONS, SEED, Fault, Noticed
from tests.campaigns.faults.hosts import Hosts, Wrap
from tests.campaigns.faults.machines import remove_host
from tests.campaigns.test_hosts import start
from tests.fixtures.failing_store import FailingStore, failing_store
from tests.fixtures.object_stores import BUCKET
from tests.fixtures.processes import wait_for_all
from tests.fixtures.study_bits import assert_same_study
from tests.launch.launched import send
from tests.launch.tiny_job import make_job

pytestmark = pytest.mark.campaign

SECONDS = 15.0
MODES = {
    "fail": f"store answers 503 for {SECONDS:.0f} s",
    "refuse": f"store answers 429 to 3 of 4 requests for {SECONDS:.0f} s",
    "slow": f"store answers each request 0.5 s later for {SECONDS:.0f} s",
    "stale": f"store lists old names for {SECONDS:.0f} s",
}
_STORES = ("STORAGE_EMULATOR_HOST", "TENSORSTORE_GCS_HTTP_URL", "CLOUD_STORAGE_EMULATOR_ENDPOINT")


class Stored(Hosts):
    """A job whose folder is in an object store."""

    def __init__(self, *arguments: object, logs: Path) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.logs = logs

    @property
    def log_folder(self) -> Path:
        return self.logs / "job"

    def described(self) -> str:
        events = [{k: v for k, v in e.items() if k != "record"} for e in self.events()[-25:]]
        output = Path(os.fspath(self.log_folder) + ".hosts").read_text()[-6000:]
        return "\n".join([*map(str, events), output])


def harmed(store: FailingStore, mode: str) -> Fault:
    """Returns a fault of the store, which need not end an attempt."""

    def strike(job: Stored, rng: random.Random) -> Noticed | None:
        [before] = job.state().live
        num_before = store.num_harmed
        store.mode = mode
        time.sleep(SECONDS)
        store.mode = "well"
        num_harmed = store.num_harmed - num_before
        assert num_harmed, mode
        step = job.step()
        job.wait(lambda: before not in job.state().live or job.step() > step, "steps, or an end")
        state = job.state()
        if before in state.live and state.live[before].closing is None:
            return Noticed("no worker ends: requests are tried again", 0.0)
        return None

    return Fault(MODES[mode], strike, ("crash", "lost_host", "hang"))


def kill_workers(job: Stored, rng: random.Random) -> None:
    for pid in job.workers().values():
        send(pid, signal.SIGKILL)


def test_faults_of_the_store(
    gcs_server: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    prepared: Path,
    tmp_path: Path,
    tiny_overrides: list[str],
) -> None:
    for name, value in gcs_server.items():
        monkeypatch.setenv(name, value)
    rng = random.Random(SEED)
    unbroken = Path(shutil.copytree(prepared, tmp_path / "unbroken"))
    started = start("train", unbroken, tiny_overrides, num_processes=2, options=OPTIONS)
    for ended in wait_for_all(started, timeout_s=1800):
        assert ended.returncode == 0, ended.stdout
    others = [option for option in OPTIONS if "temporary_interval_s" not in option]
    options = [*tiny_overrides, *others, "--config.checkpoint.temporary_interval_s=4.0"]
    with failing_store(gcs_server["STORAGE_EMULATOR_HOST"]) as store:
        wrap = Wrap(environment=dict.fromkeys(_STORES, store.address))
        faults = [
            *(harmed(store, mode) for mode in MODES),
            Fault("a host gone for 12 s, on a store", remove_host, ("lost_host",)),
            Fault("kill -9 of all workers, on a store", kill_workers, ("crash",)),
        ]
        left = campaign.plan(faults, rng)
        while left:
            workdir = storage.parse(f"gs://{BUCKET}/faults-{time.time_ns()}")
            upload(prepared, workdir)
            folder = make_job(workdir, options, env=CACHED)
            with Stored(folder, {0: wrap, 1: wrap}, logs=tmp_path) as job:
                while left and campaign.has_room(job):
                    for fault in left.pop(0):
                        campaign.strike(job, fault, rng)
                job.wait_done()
            print(assert_same_study(workdir, epath.Path(unbroken)), flush=True)


def upload(folder: Path, to: epath.Path) -> None:
    for name in storage.sizes_below(folder):
        write_bytes(to / name, (folder / name).read_bytes())
