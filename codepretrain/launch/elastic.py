"""The same global batch on fewer slices: more micro-batches, so that each is no larger per device.

slices   row shards   micro-batches   rows per device and micro-batch      (a batch of 512 rows)
4        64           1               8
2        32           2               8
1        16           4               8

Parameters and moments per device do not grow either: the rule for the machine shards them within a
slice, and of an explicit `config.execution.mesh` the `data` axis shrinks. Only on local hosts may
fsdp × tensor span slices. Then an axis of -1 takes fewer devices, each with a larger part; a mesh
without one waits for its slices.
"""

from collections.abc import Mapping

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_axes import axis_sizes, inner_axes, product, spell
from codepretrain.launch.job import Job, Stage


def num_microbatches(job: Job, stage: Stage, num_slices: int) -> int | None:
    """Returns the micro-batches of a stage on so many slices, None if it cannot run on them.

    The rows per device and micro-batch are at most those on the whole machine, which uses the
    study's own number.
    """
    sizes = _mesh(job, stage, num_slices)
    if sizes is None:
        return None
    if stage.batch_size is None:
        return stage.num_microbatches
    shards, batch = _num_devices(job, num_slices) // sizes.get("tensor", 1), stage.batch_size
    if batch % shards:
        return None
    rows = batch // shards  # of each shard
    if num_slices == job.num_slices:
        return None if rows % stage.num_microbatches else stage.num_microbatches
    all_shards = shards * job.num_slices // num_slices
    at_once = -(-batch // (all_shards * stage.num_microbatches))
    numbers = (number for number in range(1, rows + 1) if rows % number == 0)
    return next(number for number in numbers if rows // number <= at_once)


def feasible_slices(job: Job, stage: Stage, at_most: int) -> int:
    """Returns the largest number of slices, up to `at_most`, on which the stage can run; or 0."""
    numbers = range(min(at_most, job.num_slices), 0, -1)
    return next((n for n in numbers if num_microbatches(job, stage, n) is not None), 0)


def arguments(job: Job, stage: Stage, num_slices: int) -> tuple[str, ...]:
    """Returns a stage's arguments for a gang of so many slices."""
    if stage.is_single or num_slices == job.num_slices:
        return stage.arguments
    number, sizes = num_microbatches(job, stage, num_slices), _mesh(job, stage, num_slices)
    assert number is not None, (stage.name, num_slices)
    found = [f"--config.execution.mesh.{axis}={size}" for axis, size in (sizes or {}).items()]
    if number != stage.num_microbatches:
        found.append(f"--config.execution.num_microbatches={number}")
    return (*stage.arguments, *found)


def told(job: Job, stage: Stage, num_slices: int) -> str:
    """Returns in words how a phase runs on fewer slices than there are; "" on all of them."""
    if stage.phase is None or num_slices == job.num_slices:
        return ""
    number, sizes = num_microbatches(job, stage, num_slices), _mesh(job, stage, num_slices)
    words = [f"on {num_slices} of {job.num_slices} slices"]
    if number != stage.num_microbatches:
        words.append(f"{number} micro-batches instead of {stage.num_microbatches}")
    if sizes:
        words.append(f"mesh {spell(sizes)}")
    return ", ".join(words)


def _mesh(job: Job, stage: Stage, num_slices: int) -> Mapping[str, int] | None:
    """Returns the mesh on so many slices: {} for the machine's rule, None if there is none."""
    if stage.mesh == MeshConfig():
        return {}
    devices = _num_devices(job, num_slices)
    try:
        whole = axis_sizes(stage.mesh, _num_devices(job, job.num_slices))
        inner = product(whole, inner_axes("slice"))
        if devices % inner:
            return axis_sizes(stage.mesh, devices)
    except UserError:
        return None
    return {**whole, "data": devices // inner}


def _num_devices(job: Job, num_slices: int) -> int:
    return num_slices * job.hosts_per_slice * job.chips_per_host
