"""Reads each array once from storage: by one replica, which sends it to the others.

    mesh data 2 × fsdp 2       devices of process 0     devices of process 1
                               replica 0: rows 0, 1     replica 1: rows 0, 1
    read                       rows 0, 1                zeros
    sum over data, as integers rows 0, 1                rows 0, 1

The sum is of the bits as integers, so it is exact: with floats, -0 + 0 would be +0. Orbax's
`SingleReplicaArrayHandler` adds floats, and its processes that do not read wait in the computation
for those that do; here a failure to read is told before the computation begins.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_AXIS = "data"  # the mesh axis of the replicas
_WORDS = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def has_other_replicas(abstract_state: Any) -> bool:
    """Returns whether other processes hold copies of the whole state."""
    leaves = jax.tree.leaves(abstract_state)
    return bool(leaves) and all(_is_replicated(leaf) for leaf in leaves)


def first_replica(abstract_state: Any) -> Any:
    """Returns the state as the first replica holds it: on its devices alone."""

    def on_first(leaf: Any) -> Any:
        sharding = _on_first(leaf.sharding)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(on_first, abstract_state)


def is_reader(abstract_state: Any) -> bool:
    """Returns whether this process has devices of the first replica."""
    sharding = jax.tree.leaves(abstract_state)[0].sharding
    return bool(_on_first(sharding).addressable_devices)


def send_to_all(abstract_state: Any, state: Any) -> Any:
    """Returns the state on all replicas, bit for bit; every process must call it.

    Goes leaf by leaf, and frees what is sent.

    Args:
      state: of the first replica, in its processes; None in the others.
    """
    leaves, structure = jax.tree.flatten(abstract_state)
    own: Sequence[Any] = [None] * len(leaves) if state is None else jax.tree.leaves(state)
    sent = [_send(*pair) for pair in zip(leaves, own, strict=True)]
    return jax.tree.unflatten(structure, sent)


def _is_replicated(leaf: Any) -> bool:
    sharding = getattr(leaf, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not isinstance(leaf.dtype, np.dtype):
        return False
    used = {name for entry in sharding.spec for name in np.atleast_1d(entry or ())}
    size = dict(sharding.mesh.shape).get(_AXIS, 1)
    processes = {device.process_index for device in sharding.mesh.devices.flat}
    is_known = leaf.dtype.itemsize in _WORDS and leaf.dtype != bool
    return is_known and size > 1 and len(processes) > 1 and _AXIS not in used


def _on_first(sharding: NamedSharding) -> NamedSharding:
    axis = sharding.mesh.axis_names.index(_AXIS)
    devices = np.take(sharding.mesh.devices, [0], axis=axis)
    return NamedSharding(Mesh(devices, sharding.mesh.axis_names), sharding.spec)


def _send(leaf: Any, own: jax.Array | None) -> jax.Array:
    """Returns one array on all replicas."""
    sharding, shape = leaf.sharding, (leaf.sharding.mesh.shape[_AXIS], *leaf.shape)
    stacked = NamedSharding(sharding.mesh, PartitionSpec(_AXIS, *sharding.spec))
    parts = {} if own is None else {shard.device: shard.data for shard in own.addressable_shards}
    zeros = np.zeros(stacked.shard_shape(shape), leaf.dtype)
    buffers = [
        parts[device][None] if device in parts else jax.device_put(zeros, device)
        for device in stacked.addressable_devices
    ]
    replicas = jax.make_array_from_single_device_arrays(shape, stacked, buffers)
    sent = jax.jit(_sum_bits, out_shardings=sharding)(replicas)
    sent.block_until_ready()
    replicas.delete()
    if own is not None:
        own.delete()
    return sent


def _sum_bits(replicas: jax.Array) -> jax.Array:
    """Returns the only replica that is not zero."""
    word = _WORDS[replicas.dtype.itemsize]
    bits = jax.lax.bitcast_convert_type(replicas, word)
    return jax.lax.bitcast_convert_type(jnp.sum(bits, axis=0, dtype=word), replicas.dtype)
