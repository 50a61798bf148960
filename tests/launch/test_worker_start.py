"""What a worker of several slices is told: as the process itself sees it."""

import os
import time
from pathlib import Path

import pytest

from codepretrain.files import storage
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import job_folder
from codepretrain.launch.log_copies import LogCopies
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.records import Attempt
from codepretrain.launch.worker_start import Settings, WorkerStarter
from tests.launch.supervised import COMMAND, wait_for

NAMES = ("MEGASCALE_COORDINATOR_ADDRESS", "MEGASCALE_NUM_SLICES", "MEGASCALE_SLICE_ID")
# What GKE sets in the pods of a JobSet, for all of its slices.
OF_PLATFORM = {"MEGASCALE_NUM_SLICES": "3", "MEGASCALE_SLICE_ID": "2", "MEGASCALE_PORT": "8080"}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((0, 1, 2, 3, 4, 5), {0: "0", 1: "0", 2: "1", 3: "1", 4: "2", 5: "2"}),
        ((2, 3, 4, 5), {2: "0", 3: "0", 4: "1", 5: "1"}),  # slice 0 has not come back
        ((4, 5), {4: None}),
    ],
)
def test_the_slices_of_a_gang_find_each_other(
    tmp_path: Path, hosts: tuple[int, ...], expected: dict[int, str | None]
) -> None:
    words = [word for name in (*NAMES, "MEGASCALE_PORT") for word in ("env", name)]
    attempt = Attempt(
        id="train.trunk-1",
        stage="train.trunk",
        number=1,
        hosts=hosts,
        coordinator="10.0.0.7:4321",
        expected_step=None,
        arguments=(*words, "exit", "0"),
    )
    machine = MachineConfig(kind="tpu_vm", topology="v5e:2x4", num_slices=3)
    job = Job(
        name="job",
        config="c.py",
        workdir=str(tmp_path),
        stages=(Stage(name="train.trunk", arguments=(), phase="trunk"),),
        launch=LaunchConfig(machine=machine),
        hosts_per_slice=2,
    )
    folder = job_folder(storage.parse(tmp_path), "job")
    for host, slice_id in expected.items():
        settings = Settings(
            host=host, command=COMMAND, scratch=tmp_path, environment={**os.environ, **OF_PLATFORM}
        )
        starter = WorkerStarter(
            folder, job, settings, logs=LogCopies(note=print), note=print, now_s=time.monotonic
        )
        worker = starter.start(attempt)
        wait_for(lambda worker=worker: worker.tick() is not None)  # type: ignore[misc]
        told = Path(folder.log(attempt.id, hosts.index(host))).read_text().split()
        slices = ["10.0.0.7", str(len(hosts) // 2), slice_id] if slice_id else ["None"] * 3
        assert told == [*slices, "8080"]
