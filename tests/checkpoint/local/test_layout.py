"""Which process holds which part, by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from codepretrain.checkpoint.local.layout import Layout
from codepretrain.config.schema import MeshConfig
from codepretrain.train.sharding import make_mesh

SHAPES: dict[str, tuple[tuple[int, ...], Any, PartitionSpec]] = {
    "weights": ((16, 3), jnp.float32, PartitionSpec("fsdp", "tensor")),
    "moments": ((16, 2), jnp.bfloat16, PartitionSpec("fsdp", "tensor")),
    "scale": ((5,), jnp.float32, PartitionSpec()),
    "step": ((), jnp.int32, PartitionSpec()),
}


def layout(num_processes: int = 4, **mesh: int) -> Layout:
    sizes = make_mesh(MeshConfig(**mesh))
    shapes = {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(sizes, spec))
        for name, (shape, dtype, spec) in SHAPES.items()
        if "tensor" not in mesh or name != "weights"  # whose dim of 3 tensor does not divide
    }
    return Layout(shapes, process_of=lambda device: device.id // (8 // num_processes))


@pytest.mark.parametrize(
    ("num_processes", "mesh", "parts", "needs_peers", "kept"),
    [
        (4, {"fsdp": 8}, [0, 1, 2, 3], True, [1, 0]),
        (4, {"data": 2, "fsdp": 4}, [0, 1, 0, 1], False, [1]),
        (4, {"data": 4, "fsdp": 2}, [0, 0, 0, 0], False, [0]),
        (4, {"data": 8, "fsdp": 1}, [0, 0, 0, 0], False, [0]),
        (4, {"fsdp": 4, "tensor": 2}, [0, 1, 2, 3], True, [1, 0]),
        (2, {"data": 2, "fsdp": 4}, [0, 0], False, [0]),
        (1, {"fsdp": 8}, [0], False, None),
    ],
)
def test_parts_and_their_holders(
    num_processes: int, mesh: dict, parts: list, needs_peers: bool, kept: list | None
) -> None:
    found = layout(num_processes, **mesh)
    assert (list(found.parts), found.needs_peers) == (parts, needs_peers)
    if kept is not None:
        assert found.kept_parts(1) == kept
    assert found.kept_parts(0) == ([0, 3] if needs_peers else [0])


def test_bytes_of_a_part() -> None:
    """Two devices: leaves in the order of their names, each distinct shard once."""
    found = layout(fsdp=8)
    assert [found.slots(leaf, 2) for leaf in range(4)] == [[0, 1], [0, 0], [0, 0], [0, 1]]
    moments, scale, step, weights = (ranges for _, ranges in found.ranges(2))
    assert moments == [(0, 8), (8, 16)]  # 2 rows of 2 values of 2 bytes
    assert scale == [(16, 36)]
    assert step == [(36, 40)]
    assert weights == [(40, 64), (64, 88)]  # 2 rows of 3 values of 4 bytes
    assert found.num_bytes(2) == 88


def test_shards_go_to_the_device_of_the_same_number_on_the_next_process() -> None:
    pairs = layout(fsdp=8).pairs_to_next()
    assert pairs == ((0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 0), (7, 1))


def test_the_digest_is_that_of_mesh_processes_and_arrays() -> None:
    known = [layout(**mesh) for mesh in ({"fsdp": 8}, {"data": 2, "fsdp": 4}, {"data": 8})]
    known += [layout(2, fsdp=8)]
    assert len({one.digest for one in known}) == len(known)
    assert layout(fsdp=8).digest == known[0].digest
    assert known[-1].describe() == "mesh data 1 × fsdp 8 × tensor 1 of 2 processes"
