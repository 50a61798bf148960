"""Batches and meshes that a machine's slices divide, and those that they do not."""

import dataclasses

import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.launch import elastic
from codepretrain.launch.job import Job
from codepretrain.launch.machine import BudgetConfig, LaunchConfig, MachineConfig
from codepretrain.launch.machine_mesh import check_slices
from tests.launch.random_faults import evaluations, phase, single


def make_job(
    *,
    batch: int,
    mesh: MeshConfig | None = None,
    slices: int = 2,
    kind: str = "local",
    **budget: int,
) -> Job:
    """Slices of 2 hosts of 4 devices."""
    machine = MachineConfig(kind=kind, num_slices=slices)
    return Job(
        name="j",
        config="c.py",
        workdir="w",
        stages=(phase("a", batch_size=batch, mesh=mesh or MeshConfig()), single("report")),
        launch=LaunchConfig(machine=machine, budget=BudgetConfig(**budget)),
        hosts_per_slice=2,
        chips_per_host=4,
    )


def test_what_a_phase_can_use() -> None:
    assert check_slices(make_job(batch=8, slices=1)) == ([], [])
    notes, idle = check_slices(make_job(batch=16))
    fewer = "on 1 of 2 slices, 2 micro-batches instead of 1"
    assert (notes, idle) == ([f"slices: a phase can run on all 2 slices; {fewer}"], [])
    assert check_slices(make_job(batch=16, mesh=MeshConfig(fsdp=16))) == (
        ["slices: a phase can run on all 2 slices"],
        [],
    )


def test_evaluations_need_a_mesh_for_one_slice() -> None:
    def apart(mesh: MeshConfig) -> Job:
        plan = make_job(batch=16, mesh=mesh)
        return dataclasses.replace(
            plan, stages=(*plan.stages, dataclasses.replace(evaluations(), mesh=mesh))
        )

    plan = apart(MeshConfig(data=2, fsdp=8))
    check_slices(plan)
    stage = plan.by_name["evaluate"]
    assert elastic.arguments(plan, stage, 1)[-3:] == (
        "--config.execution.mesh.data=1",
        "--config.execution.mesh.fsdp=8",
        "--config.execution.mesh.tensor=1",
    )
    assert elastic.told(plan, stage, 1) == ""  # one slice is all that they are to have
    with pytest.raises(UserError, match=r"config.execution.mesh does not fit one slice of 8 dev"):
        check_slices(apart(MeshConfig(fsdp=16)))


def test_slices_that_are_idle_must_be_confirmed() -> None:
    [note], [idle] = check_slices(make_job(batch=8))
    assert note == "slices: a phase can run on 1 of 2 slices"
    assert idle.startswith("config.training.batch_size does not divide over 2 slices: a phase uses")
    assert check_slices(make_job(batch=8, max_slices=1))[1] == []


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (make_job(batch=4), r"batch_size = 4 rows do not divide over 1 to 2 slices of 8 devices"),
        (
            make_job(batch=4, slices=1),
            r"over 1 slice of 8 devices with .*: use a multiple of 8 rows",
        ),
        (make_job(batch=16, mesh=MeshConfig(fsdp=4, data=2)), r"= 8 devices, but there are 16"),
        (
            make_job(batch=16, mesh=MeshConfig(fsdp=16), kind="tpu_vm"),
            r"does not divide the 8 devices of each of the 2 slices",
        ),
        (make_job(batch=16, mesh=MeshConfig(tensor=8)), r"tensor 8 does not divide the 4 devices"),
        (make_job(batch=16, mesh=MeshConfig(fsdp=16), max_slices=1), "a mesh that fits a slice"),
    ],
)
def test_what_no_slices_can_run_is_refused(plan: Job, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_slices(plan)


def test_a_report_alone_needs_no_slices() -> None:
    plan = make_job(batch=16)
    assert check_slices(dataclasses.replace(plan, stages=(single("report"),))) == ([], [])
