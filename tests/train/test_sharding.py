"""Meshes, the rules applied to every parameter, rows on devices, and refusals by message."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.stream.batch import Batch
from codepretrain.train.sharding import (
    Constrain,
    batch_sharding,
    check_batch_size,
    global_batch,
    make_mesh,
    num_row_shards,
    param_shardings,
)


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, (1, 8, 1)),
        ({"data": 2}, (2, 4, 1)),
        ({"fsdp": 4, "tensor": 2}, (1, 4, 2)),
        ({"data": -1, "fsdp": 2, "tensor": 2}, (2, 2, 2)),
        ({"data": 2, "fsdp": 2, "tensor": -1}, (2, 2, 2)),
    ],
)
def test_mesh(fields, shape):
    mesh = make_mesh(MeshConfig(**fields))
    assert dict(mesh.shape) == dict(zip(("data", "fsdp", "tensor"), shape, strict=True))
    # tensor is the fastest axis over the devices' order
    assert [device.id for device in mesh.devices.flat] == list(range(8))


def test_mesh_of_some_devices():
    assert make_mesh(MeshConfig(), jax.devices()[:1]).size == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fsdp": 3}, r"data 1 × fsdp 3 × tensor 1 = 3 devices, but there are 8; .* -1"),
        ({"data": 3}, r"8 devices are not divisible by 3; .* one of 1, 2, 4, 8"),
        ({"data": -1}, r"-1 for at most one axis"),
        ({"data": 0}, r"expected positive sizes"),
    ],
)
def test_mesh_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make_mesh(MeshConfig(**fields))


@dataclasses.dataclass(frozen=True)
class Device:
    """The attributes of a device that the mesh needs, for machines that are not present."""

    id: int
    process_index: int
    slice_index: int = 0
    device_kind: str = "cpu"


def test_processes_hold_contiguous_rows():
    shuffled = [Device(id=i, process_index=i % 4) for i in range(16)]
    mesh = make_mesh(MeshConfig(data=2, fsdp=4, tensor=2), shuffled)
    rows = mesh.devices.reshape(8, 2)
    assert [{d.process_index for d in row} for row in rows] == [
        {0}, {0}, {1}, {1}, {2}, {2}, {3}, {3}
    ]  # fmt: skip
    with pytest.raises(
        UserError, match="mesh: tensor 8 does not divide the 4 devices of each process"
    ):
        make_mesh(MeshConfig(tensor=8), shuffled)


AXES = {"embedding": ("vocab", "embed"), "query": ("layers", "embed", "heads", "head_dim")}


def leaf(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_param_shardings():
    params = {"embedding": leaf(64, 16), "query": leaf(3, 16, 4, 5)}
    shardings = param_shardings(AXES, params, make_mesh(MeshConfig(fsdp=4, tensor=2)))
    assert shardings["embedding"].spec == PartitionSpec("tensor", "fsdp")
    assert shardings["query"].spec == PartitionSpec(None, "fsdp", "tensor", None)
    assert shardings["query"].shard_shape((3, 16, 4, 5)) == (3, 4, 2, 5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"embedding": leaf(65, 16), "query": leaf(3, 16, 4, 5)},
            r"parameter embedding: dim 'vocab' of size 65 is not divisible by mesh axis "
            r"tensor 2; make config.execution.mesh.tensor a divisor of 65",
        ),
        (
            {"embedding": leaf(64, 16), "query": leaf(3, 18, 4, 5)},
            r"parameter query: dim 'embed' of size 18 is not divisible by mesh axis fsdp 4",
        ),
    ],
)
def test_param_that_does_not_divide(params, message):
    with pytest.raises(UserError, match=message):
        param_shardings(AXES, params, make_mesh(MeshConfig(fsdp=4, tensor=2)))


def test_rows_on_devices():
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    rows = np.arange(8 * 3, dtype=np.int32).reshape(8, 3)
    batch = global_batch(Batch(rows, rows, rows.astype(np.float32), rows, rows), mesh)
    assert num_row_shards(mesh) == 4
    assert batch.inputs.sharding == batch_sharding(mesh)
    for shard in batch.inputs.addressable_shards:
        part = shard.device.id // 2  # two devices along tensor hold the same two rows
        np.testing.assert_array_equal(shard.data, rows[2 * part : 2 * part + 2])


def test_constrain():
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    place = jax.jit(lambda x: Constrain(mesh)(x, ("batch", "tokens", "heads", None)))
    assert place(jnp.ones((4, 3, 2, 5))).sharding.shard_shape((4, 3, 2, 5)) == (1, 3, 1, 5)


def test_constrain_on_one_device_is_the_identity():
    """A constraint would copy, and the gradient would keep the copy beside the original."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    x = jnp.ones((4, 3, 2, 5))
    jaxpr = jax.make_jaxpr(lambda x: Constrain(mesh)(x, ("batch", "tokens", "heads", None)))(x)
    assert not jaxpr.eqns


def test_batch_size():
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    check_batch_size(24, num_microbatches=3, mesh=mesh)
    with pytest.raises(UserError, match=r"batch_size: 20 .* × num_microbatches 3 = 12; 12 or 24"):
        check_batch_size(20, num_microbatches=3, mesh=mesh)
    with pytest.raises(UserError, match=r"= 4; 4 would fit"):
        check_batch_size(2, num_microbatches=1, mesh=mesh)
