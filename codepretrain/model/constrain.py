"""The logical names of the dims of activations, from which their shardings follow.

A `Constrain` takes an activation and a logical name per dim, and returns the same values, possibly
with a sharding (`jax.lax.with_sharding_constraint`). The model itself is independent of the mesh
and by default uses `unconstrained`. On a mesh the constraints are necessary: without them, the
partitioner splits activations like the parameters, along D, and sums every product over all
devices.

`Constrain.on_each_device` is for functions that the compiler cannot split (`jax.shard_map`): a
hand-written kernel receives each device's part of every array.

    name                    the dim                             under fully sharded data parallelism
    batch                   rows                                all data-parallel axes
    tokens                  positions                           not split
    heads, kv_heads, mlp    heads and hidden units              the tensor-parallel axis
    lookup_batch            rows, while embeddings are          the axes of `batch` that do not
                            looked up                             split the embedding along D
    lookup_embed            D, while they are looked up         the axis that splits that D
    None                    never split

The lookup reads a device's part of D for the rows of all devices that share the embedding, and then
exchanges rows for dims (an all-to-all of [B, T, D]); the embedding itself is never gathered.
"""

from collections.abc import Callable
from typing import Protocol

import jax

Names = tuple[str | None, ...]


class Constrain(Protocol):
    """Applies shardings to activations by the logical names of their dims."""

    def __call__(self, x: jax.Array, names: Names) -> jax.Array:
        """Returns x with the sharding that the names of its dims imply."""

    def on_each_device(
        self, function: Callable[..., jax.Array], *, inputs: tuple[Names, ...], output: Names
    ) -> Callable[..., jax.Array]:
        """Returns a function that runs `function` on every device's part of the inputs."""


class _Unconstrained:
    """No sharding constraints: only checks that there is one name per dim."""

    def __call__(self, x: jax.Array, names: Names) -> jax.Array:
        assert x.ndim == len(names), f"{names} for an activation of shape {x.shape}"
        return x

    def on_each_device(
        self, function: Callable[..., jax.Array], *, inputs: tuple[Names, ...], output: Names
    ) -> Callable[..., jax.Array]:
        return function


unconstrained: Constrain = _Unconstrained()
