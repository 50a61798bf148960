"""The tiny study as a job on local hosts, for tests with real workers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import (
    LaunchConfig,
    MachineConfig,
    RestartConfig,
    WatchdogConfig,
)
from tests.conftest import TINY

NAME = "tiny"
# Seconds that fit a study of seconds, on a machine that does other things too.
WATCHDOG = WatchdogConfig(
    heartbeat_s=8.0, init_s=120, restore_s=60, compile_s=120, step_min_s=15.0, grace_s=20.0
)
RESTART = RestartConfig(max_failures=20, backoff_s=0.5, max_backoff_s=2.0, same_step_limit=10)


def make_job(
    workdir: Path,
    overrides: Sequence[str],
    *,
    phases: Sequence[tuple[str, str | None]] = (("trunk", None),),
    watchdog: WatchdogConfig = WATCHDOG,
    restart: RestartConfig = RESTART,
    reports: bool = False,
    name: str = NAME,
    **machine: Any,
) -> JobFolder:
    """Writes a job that trains phases, given with their parents, on two hosts by default."""
    where = ("--config", str(TINY), "--workdir", str(workdir), *overrides)
    stages = [
        Stage(
            name=f"train.{phase}",
            arguments=("train", *where, "--phase", phase),
            parents=() if parent is None else (f"train.{parent}",),
            phase=phase,
            fingerprint=phase,
            batch_size=8,
        )
        for phase, parent in phases
    ]
    if reports:
        parents = tuple(stage.name for stage in stages)
        stages.append(
            Stage(name="report", arguments=("report", *where), parents=parents, is_single=True)
        )
    config = MachineConfig(**{"hosts": 2, "cpu_devices": 1, **machine})
    job = Job(
        name=name,
        config=str(TINY),
        workdir=str(workdir),
        stages=tuple(stages),
        launch=LaunchConfig(machine=config, watchdog=watchdog, restart=restart),
        hosts_per_slice=config.hosts,
        chips_per_host=config.cpu_devices,
    )
    folder = job_folder(storage.parse(workdir), name)
    assert record_files.create_job(folder, job, by="test")
    return folder
