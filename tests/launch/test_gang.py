"""The arguments and the environment of workers."""

from typing import Any

import pytest

from codepretrain.launch.gang import process_id, worker_arguments, worker_environment
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.machine import LaunchConfig, MachineConfig, WatchdogConfig
from codepretrain.launch.records import Attempt

TRAIN = ("train", "--config", "c.py", "--workdir", "/w", "--phase", "trunk")


def job(workdir: str = "/w", hosts_per_slice: int = 2, **machine: Any) -> Job:
    watchdog = WatchdogConfig(heartbeat_s=12.5, init_s=600)
    return Job(
        name="j",
        config="c.py",
        workdir=workdir,
        stages=(
            Stage(name="train.trunk", arguments=TRAIN, phase="trunk"),
            Stage(name="report", arguments=("report", "--config", "c.py"), is_single=True),
        ),
        launch=LaunchConfig(machine=MachineConfig(**machine), watchdog=watchdog),
        hosts_per_slice=hosts_per_slice,
    )


def attempt(hosts: tuple[int, ...] = (0, 1), **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "id": "train.trunk-3",
        "stage": "train.trunk",
        "number": 3,
        "hosts": hosts,
        "coordinator": "10.0.0.7:4321" if len(hosts) > 1 else None,
        "expected_step": None,
        "arguments": TRAIN,
    }
    return Attempt(**{**fields, **changes})


def test_a_gang_on_local_cpu_devices() -> None:
    assert worker_arguments(job(hosts=2, cpu_devices=4), attempt(), 1) == [
        *TRAIN,
        *("--attempt", "train.trunk-3"),
        *("--coordinator", "10.0.0.7:4321", "--num-processes", "2", "--process-id", "1"),
        *("--join-timeout-s", "600", "--heartbeat-timeout-s", "13"),
        *("--cpu-devices", "4"),
    ]


def test_one_process_has_no_coordinator() -> None:
    arguments = worker_arguments(job(), attempt((1,)), 1)
    assert arguments == [*TRAIN, "--attempt", "train.trunk-3", "--cpu-devices", "1"]


def test_a_pod_has_its_own_devices() -> None:
    on_pod = job(kind="tpu_vm", topology="v5e:2x4")
    assert "--cpu-devices" not in worker_arguments(on_pod, attempt(), 0)


def test_preparation_and_report_run_as_they_are() -> None:
    report = attempt((1,), id="report-1", stage="report", arguments=("report", "--config", "c.py"))
    assert worker_arguments(job(), report, 1) == ["report", "--config", "c.py"]
    assert worker_environment(job(), report, 1, base={"PATH": "/bin"}) == {"PATH": "/bin"}


def test_process_ids_are_in_the_order_of_the_attempt() -> None:
    assert [process_id(attempt((4, 5, 2, 3)), host) for host in (4, 5, 2, 3)] == [0, 1, 2, 3]


def test_the_environment_of_a_worker() -> None:
    local = job(env={"LEVEL": "job", "ONLY_JOB": "1"})
    base = {"LEVEL": "supervisor", "HF_TOKEN": "secret", "PATH": "/bin"}
    of_attempt = attempt(expected_step=120, env={"FROM_ATTEMPT": "1"})
    assert worker_environment(local, of_attempt, 0, base=base) == {
        "LEVEL": "job",
        "ONLY_JOB": "1",
        "HF_TOKEN": "secret",
        "PATH": "/bin",
        "FROM_ATTEMPT": "1",
        "JAX_COMPILATION_CACHE_DIR": "/w/compilation_cache",
        "CODEPRETRAIN_EXPECTED_STEP": "120",
    }


def test_a_compilation_cache_that_somebody_chose_stays() -> None:
    base = {"JAX_COMPILATION_CACHE_DIR": "/fast"}
    assert worker_environment(job(), attempt(), 0, base=base) == base


def test_a_compilation_cache_in_an_object_store_holds_no_files_that_xla_writes_itself() -> None:
    found = worker_environment(job(workdir="gs://b/w/"), attempt(), 0, base={})
    assert found["JAX_COMPILATION_CACHE_DIR"] == "gs://b/w/compilation_cache"
    assert found["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] == "none"


V5E: dict[str, Any] = {"kind": "tpu_vm", "topology": "v5e:2x4", "num_slices": 3}


@pytest.mark.parametrize(("host", "slice_id"), [(2, "0"), (3, "0"), (4, "1"), (5, "1")])
def test_several_slices(host: int, slice_id: str) -> None:
    """Slices 1 and 2 of three: they are numbered anew, from 0."""
    found = worker_environment(job(**V5E), attempt((2, 3, 4, 5)), host, base={})
    assert found["MEGASCALE_COORDINATOR_ADDRESS"] == "10.0.0.7"
    assert found["MEGASCALE_NUM_SLICES"] == "2"
    assert found["MEGASCALE_SLICE_ID"] == slice_id


def test_one_slice_of_several_is_not_told_of_the_others() -> None:
    base = {"MEGASCALE_NUM_SLICES": "3", "MEGASCALE_SLICE_ID": "1", "TPU_WORKER_ID": "0"}
    found = worker_environment(job(**V5E), attempt((2, 3)), 2, base=base)
    assert [name for name in found if name.startswith("MEGASCALE_")] == []
    assert found["TPU_WORKER_ID"] == "0"


def test_gpus_and_cpus_have_no_slices() -> None:
    gpus = job(kind="gke", topology="h100:16", num_slices=2)
    for other in (gpus, job(hosts=2, num_slices=2)):
        found = worker_environment(other, attempt((0, 1, 2, 3)), 3, base={})
        assert not any(name.startswith("MEGASCALE_") for name in found)
