"""Whether the mesh and the batch of a study divide over a machine: known before any is started."""

from collections.abc import Sequence

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_axes import axis_sizes, check_spans
from codepretrain.launch import elastic, scheduler
from codepretrain.launch.job import Job


def check_slices(job: Job) -> tuple[list[str], list[str]]:
    """Returns a note on the slices that a phase can use, and what the user must confirm.

    Raises:
      UserError: a phase can run on no slices that it may use, or evaluations not on one; names
        the field.
    """
    machine = job.launch.machine
    for stage in job.stages:
        if not stage.is_single and stage.mesh != MeshConfig():
            sizes = axis_sizes(stage.mesh, len(job.hosts) * job.chips_per_host)
            # To JAX all local hosts are one slice, so an axis may span them.
            num_slices = 1 if machine.kind == "local" else machine.num_slices
            check_spans(sizes, num_slices=num_slices, num_processes=len(job.hosts))
        if why := scheduler.impossible(job, stage):
            raise UserError(why)
        if stage.is_evaluation and not elastic.feasible_slices(job, stage, 1):
            raise UserError(
                "--evaluations apart: config.execution.mesh does not fit one slice of "
                f"{job.hosts_per_slice * job.chips_per_host} devices: use a mesh whose fsdp and "
                "tensor fit a slice, or leave out --evaluations apart"
            )
    phases = [stage for stage in job.stages if not stage.is_single]
    if job.num_slices == 1 or not phases:
        return [], []
    stage, at_most = phases[0], scheduler.max_slices(job)  # all phases have one batch and one mesh
    numbers = [n for n in range(at_most, 0, -1) if elastic.feasible_slices(job, stage, n) == n]
    found = [elastic.told(job, stage, n) or f"on all {n} slices" for n in numbers]
    note = f"slices: a phase can run {'; '.join(found)}"
    return [note], _unused(at_most, numbers)


def _unused(at_most: int, numbers: Sequence[int]) -> list[str]:
    if numbers[0] == at_most:
        return []
    return [
        f"config.training.batch_size does not divide over {at_most} slices: a phase uses "
        f"{numbers[0]}, and the others are idle unless several phases can run"
    ]
