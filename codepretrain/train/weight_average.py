"""The average of the parameters of several checkpoints, leaf by leaf.

    for each leaf:   Σ = 0 in float64, on the host
                     for each checkpoint, in order:  Σ += weight · leaf, each product rounded
                     round Σ to the leaf's dtype, and put it on the devices

A device's part of a leaf is averaged by the process that has the device. Every element is computed
alone and in one order, so the bits do not depend on the mesh or on the number of processes. Memory,
besides the result: of one leaf at a time, the parts of one checkpoint on the devices, and on the
host a process's own parts in float64, three times.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from codepretrain.checkpoint.whole import WholeCheckpoint
from codepretrain.model.transformer import Params

_Index = tuple[tuple[int | None, int | None], ...]  # the slices of a device's part


def average_params(
    abstract_params: Params, members: Sequence[tuple[WholeCheckpoint, float]]
) -> Params:
    """Returns Σ weight · parameters. Every process of a job must call it.

    Args:
      abstract_params: shape, dtype and sharding of every parameter.
      members: checkpoints with their weights, which sum to 1, in the order in which they are added.

    Raises:
      UserError: the parameters of a checkpoint are not those of `abstract_params`; before anything
        is computed.
    """
    for whole, _ in members:
        whole.check({"params": abstract_params}, is_part=True)
    leaves, structure = jax.tree_util.tree_flatten_with_path(abstract_params)
    averaged = [_average_leaf([key.key for key in path], leaf, members) for path, leaf in leaves]
    return jax.tree_util.tree_unflatten(structure, averaged)


def _average_leaf(
    keys: Sequence[str], leaf: Any, members: Sequence[tuple[WholeCheckpoint, float]]
) -> jax.Array:
    sums: dict[_Index, np.ndarray] = {}
    for whole, weight in members:
        array = _read_leaf(whole, keys, leaf)
        parts = {_index(shard.index): shard.data for shard in array.addressable_shards}
        for index, part in parts.items():
            share = np.multiply(np.asarray(part), weight, dtype=np.float64)
            sums[index] = sums[index] + share if index in sums else share
        array.delete()
    rounded = {index: total.astype(leaf.dtype) for index, total in sums.items()}
    return jax.make_array_from_callback(
        leaf.shape, leaf.sharding, lambda slices: rounded[_index(slices)]
    )


def _read_leaf(whole: WholeCheckpoint, keys: Sequence[str], leaf: Any) -> jax.Array:
    wanted: Any = leaf
    for key in reversed(["params", *keys]):
        wanted = {key: wanted}
    found = whole.read(wanted, is_part=True)
    for key in ("params", *keys):
        found = found[key]
    return found


def _index(slices: Any) -> _Index:
    return tuple((one.start, one.stop) for one in slices)
