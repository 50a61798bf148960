"""A number per device that changes with any bit that the device holds: cheap, and compared exactly.

A leaf's part on a device is read as unsigned integers, which are summed modulo 2^32: one flipped
bit changes the sum by a power of two. The sums of the leaves are combined as in FNV-1, so that a
change of one leaf cannot cancel that of another one by a simple shift.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

_FACTOR = 16777619  # FNV's 32-bit prime; Source: RFC 9923
_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def device_digests(tree: Any, shardings: Any, mesh: Mesh) -> jax.Array:
    """Returns the digest of each device's part of a tree, in the order of `mesh.devices.flat`.

    tree: arrays of at most 4 bytes per element; shardings: of its leaves. [num_devices] uint32.
    """
    leaves, placed = jax.tree.leaves(tree), jax.tree.leaves(shardings)
    specs = tuple(sharding.spec for sharding in placed)
    digest = jax.shard_map(
        lambda *parts: _digest(parts)[None],
        mesh=mesh,
        in_specs=specs,
        out_specs=PartitionSpec(mesh.axis_names),
        check_vma=False,  # a part may be the same on several devices, or not: that is the question
    )
    return digest(*leaves)


def _digest(parts: tuple[jax.Array, ...]) -> jax.Array:
    combined = jnp.uint32(2166136261)
    for part in parts:
        bits = jax.lax.bitcast_convert_type(part, _UNSIGNED[part.dtype.itemsize])
        total = jnp.sum(bits.astype(jnp.uint32), dtype=jnp.uint32)
        combined = (combined * jnp.uint32(_FACTOR)) ^ total
    return combined
