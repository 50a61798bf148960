"""A digest of parameters, by which work on them is found again after a restart.

It is computed on the devices, from the bits of every array, in integers modulo 2³². So it is the
same on every mesh and with any number of processes, and costs one pass over the parameters.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from codepretrain.files.hashing import sha256_json

_MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B)  # odd, as in well-known hash functions


def params_digest(params: Any) -> str:
    """Returns 64 hexadecimal digits that change with any bit of any array in the tree.

    Not a cryptographic hash: it tells apart checkpoints, not forgeries.
    """
    named = jax.tree_util.tree_leaves_with_path(params)
    arrays = [array for _, array in named]
    sums = np.asarray(_sums(arrays)).tolist() if arrays else []
    return sha256_json(
        {
            jax.tree_util.keystr(path): [str(array.dtype), list(array.shape), *two]
            for (path, array), two in zip(named, sums, strict=True)
        }
    )


def _sums(arrays: list[Any]) -> jax.Array:
    """Returns two weighted sums of each array's bits: [num arrays, 2] uint32 on every device."""
    sharding = getattr(arrays[0], "sharding", None)
    everywhere = None
    if isinstance(sharding, NamedSharding):
        everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    return _compiled(everywhere)(arrays)


@functools.cache
def _compiled(out_sharding: NamedSharding | None) -> Any:
    """Returns the compiled function: one per mesh, so that later evaluations compile nothing."""
    return jax.jit(
        lambda arrays: jnp.stack([_sums_of_one(array) for array in arrays]),
        out_shardings=out_sharding,
    )


def _sums_of_one(array: jax.Array) -> jax.Array:
    unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[array.dtype.itemsize]
    bits = lax.bitcast_convert_type(array, unsigned).astype(jnp.uint32)
    place = jnp.zeros(array.shape, jnp.uint32)
    for dimension, size in enumerate(array.shape):
        place = place * jnp.uint32(size) + lax.broadcasted_iota(jnp.uint32, array.shape, dimension)
    sums = []
    for multiplier in _MULTIPLIERS:
        weight = place * jnp.uint32(multiplier)
        mixed = (bits ^ weight ^ (weight >> 15)) * jnp.uint32(multiplier)
        sums.append(jnp.sum(mixed ^ (mixed >> 13), dtype=jnp.uint32))
    return jnp.stack(sums)
