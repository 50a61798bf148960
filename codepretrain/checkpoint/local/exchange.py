"""Moves shards between devices over the interconnect, bit for bit.

    device of process i         i, 0        i, 1
                                  ↓           ↓
    device of process i + 1     i + 1, 0    i + 1, 1

A shard travels as integers of its width, so that nothing on the way changes -0 or the bits of a
NaN. A program moves the shards of one array: that is all the memory that it needs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from codepretrain.checkpoint.local.layout import Layout
from codepretrain.progress_pipe import PROGRESS

_WORDS = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}

Pairs = tuple[tuple[int, int], ...]
Shards = list[np.ndarray]  # the distinct ones of one array


def host_copies(
    layout: Layout, state: Any, programs: Mapping[int, jax.stages.Compiled], process: int
) -> list[list[Shards]]:
    """Returns the shards of every part that a process keeps, in the order of `kept_parts`.

    Every process must call it. While one array is copied to the host, the next one is sent: memory
    for the shards of two arrays on each device.
    """
    copies: list[list[Shards]] = [[] for _ in layout.kept_parts(process)]
    for per_part in _one_ahead(_started(layout, state, programs, process)):
        for arrays, into in zip(per_part, copies, strict=True):
            # Copies also where the host sees the memory of the device, which is donated next.
            into.append([np.array(array, copy=True) for array in arrays])
        PROGRESS.count()
    return copies


def compile_sends(layout: Layout) -> dict[int, jax.stages.Compiled]:
    """Returns the program that sends each leaf to the next process; none if nothing is sent."""
    if not layout.needs_peers:
        return {}
    pairs, compiled = layout.pairs_to_next(), {}
    done: dict[Any, jax.stages.Compiled] = {}
    for number, leaf in enumerate(layout.leaves):
        key = leaf.shape, leaf.dtype, leaf.sharding
        if key not in done:
            done[key] = compile_send(leaf, pairs)
        compiled[number] = done[key]
    return compiled


def compile_send(leaf: jax.ShapeDtypeStruct, pairs: Pairs) -> jax.stages.Compiled:
    """Returns a program: array → what each device receives, [num_devices, *shard] of integers.

    leaf: shape, dtype and sharding. pairs: places in `mesh.devices.flat` of senders and receivers.
    """
    mesh, axes = leaf.sharding.mesh, leaf.sharding.mesh.axis_names
    send = jax.shard_map(
        lambda shard: jax.lax.ppermute(_bits(shard), axes, pairs)[None],
        mesh=mesh,
        in_specs=leaf.sharding.spec,
        out_specs=PartitionSpec(axes),
        check_vma=False,  # copies of a shard on several devices all travel
    )
    return jax.jit(send).lower(leaf).compile()


class Gathered:
    """Puts a state together from host copies, of which some are on other processes only.

    Args:
      moves: rounds of (sender, receiver); in each a process sends at most once.
      shards: part and leaf → the distinct shards, of the parts that this process provides.
    """

    def __init__(
        self,
        layout: Layout,
        process: int,
        moves: Sequence[Sequence[tuple[int, int]]],
        shards: Callable[[int, int], Shards],
    ) -> None:
        self._layout, self._process, self._moves, self._shards = layout, process, moves, shards
        self._receives = any(process == to for some in moves for _, to in some)

    def state(self) -> Any:
        """Returns the state; every process must call it."""
        leaves = [self._leaf(number) for number in range(len(self._layout.leaves))]
        return jax.tree.unflatten(self._layout.structure, leaves)

    def _leaf(self, number: int) -> jax.Array:
        layout, leaf = self._layout, self._layout.leaves[number]
        devices = layout.devices(self._process)
        buffers: list[Any] = []
        if not self._receives:
            own = self._on_devices(number, self._process)
            buffers = [jax.device_put(shard, d) for shard, d in zip(own, devices, strict=True)]
        for moves in self._moves:
            received = self._round(number, moves)
            if any(to == self._process for _, to in moves):
                found = {shard.device: shard.data for shard in received.addressable_shards}
                buffers = [found[d].reshape(layout.shard_shape(number)) for d in devices]
        PROGRESS.count()
        return jax.make_array_from_single_device_arrays(leaf.shape, leaf.sharding, buffers)

    def _round(self, number: int, moves: Sequence[tuple[int, int]]) -> jax.Array:
        """Sends the shards of a leaf; [num_devices, *shard], zeros where nothing arrives."""
        layout, leaf = self._layout, self._layout.leaves[number]
        devices, shape = layout.devices(self._process), layout.shard_shape(number)
        receiver = next((to for sender, to in moves if sender == self._process), None)
        if receiver is None:
            sent = [np.zeros(shape, leaf.dtype)] * len(devices)
        else:
            sent = self._on_devices(number, receiver)
        stacked = NamedSharding(layout.mesh, PartitionSpec(layout.mesh.axis_names))
        buffers = [jax.device_put(s[None], d) for s, d in zip(sent, devices, strict=True)]
        whole = jax.make_array_from_single_device_arrays(
            (layout.mesh.size, *shape), stacked, buffers
        )
        received = _route(layout.mesh, layout.pairs(moves))(whole)
        received.block_until_ready()
        whole.delete()
        return received

    def _on_devices(self, number: int, process: int) -> Shards:
        """Returns the shard of each device of a process."""
        part = self._layout.parts[process]
        distinct = self._shards(part, number)
        return [distinct[slot] for slot in self._layout.slots(number, part)]


@cache
def _route(mesh: Mesh, pairs: Pairs) -> Callable[[jax.Array], jax.Array]:
    spec = PartitionSpec(mesh.axis_names)

    def move(shard: jax.Array) -> jax.Array:
        received = jax.lax.ppermute(_bits(shard), mesh.axis_names, pairs)
        return jax.lax.bitcast_convert_type(received, shard.dtype)

    return jax.jit(jax.shard_map(move, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))


def _bits(shard: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(shard, _WORDS[shard.dtype.itemsize])


def _started(
    layout: Layout, state: Any, programs: Mapping[int, jax.stages.Compiled], process: int
) -> Iterator[list[list[jax.Array]]]:
    """Yields the distinct shards of each leaf, of each part that a process keeps.

    Their copies to the host have begun.
    """
    devices, parts = layout.devices(process), layout.kept_parts(process)
    for number, leaf in enumerate(jax.tree.leaves(state)):
        wholes = [leaf, programs[number](leaf)] if layout.needs_peers else [leaf]
        per_part = []
        for part, whole in zip(parts, wholes, strict=True):
            found = {shard.device: shard.data for shard in whole.addressable_shards}
            slots = layout.slots(number, part)
            first = [devices[slots.index(slot)] for slot in range(max(slots) + 1)]
            per_part.append([found[device] for device in first])
            for array in per_part[-1]:
                array.copy_to_host_async()
        yield per_part


def _one_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Yields the items; each is made before the one before it is yielded."""
    held = next(items)
    for item in items:
        yield held
        held = item
    yield held
