"""The same global batch on fewer slices: more micro-batches, so that each is no larger per device.

slices   row shards   micro-batches   rows per device and micro-batch      (a batch of 512 rows)
4        64           1               8
2        32           2               8
1        16           4               8
"""

from codepretrain.launch.job import Job, Stage


def num_microbatches(job: Job, stage: Stage, num_slices: int) -> int | None:
    """Returns the micro-batches of a stage on so many slices, None if its batch does not divide.

    The rows per device and micro-batch are at most those on the whole machine. The whole machine
    is left as it is: `codepretrain train` checks it.
    """
    if num_slices == job.num_slices or stage.batch_size is None:
        return stage.num_microbatches
    devices = num_slices * job.hosts_per_slice * job.chips_per_host
    if devices % stage.tensor:
        return None
    shards, batch = devices // stage.tensor, stage.batch_size
    if batch % shards:
        return None
    rows = batch // shards  # of each shard
    least = -(-stage.num_microbatches * job.num_slices // num_slices)
    return next((number for number in range(least, rows + 1) if rows % number == 0), None)


def feasible_slices(job: Job, stage: Stage, at_most: int) -> int:
    """Returns the largest number of slices, up to `at_most`, over which the batch divides; or 0."""
    numbers = range(min(at_most, job.num_slices), 0, -1)
    return next((n for n in numbers if num_microbatches(job, stage, n) is not None), 0)


def arguments(job: Job, stage: Stage, num_slices: int) -> tuple[str, ...]:
    """Returns a stage's arguments for a gang of so many slices."""
    number = num_microbatches(job, stage, num_slices)
    assert number is not None, (stage.name, num_slices)
    if stage.is_single or number == stage.num_microbatches:
        return stage.arguments
    return (*stage.arguments, f"--config.execution.num_microbatches={number}")
