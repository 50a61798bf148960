"""Where the model names the dims of its activations, for whoever knows the mesh.

A `Constrain` takes an activation and a logical name per dim, and returns the same values, perhaps
with a sharding (`jax.lax.with_sharding_constraint`). The model itself knows no mesh: without one it
uses `unconstrained`. On a mesh the names are needed: left alone, the partitioner splits activations
like the parameters, along D, and sums every product over all devices.

    name                    the dim                             under fully sharded data parallelism
    batch                   rows                                all data-parallel axes
    tokens                  positions                           not split
    heads, kv_heads, mlp    heads and hidden units              the tensor-parallel axis
    lookup_batch            rows, while embeddings are          the axes of `batch` that do not
                            looked up                             split the embedding along D
    lookup_embed            D, while they are looked up         the axis that splits that D
    None                    never split

The lookup reads its part of D for the rows of all devices that share the embedding, and exchanges
rows for dims afterwards (an all-to-all of [B, T, D]); the embedding itself is never gathered.
"""

from collections.abc import Callable

import jax

Constrain = Callable[[jax.Array, tuple[str | None, ...]], jax.Array]


def unconstrained(x: jax.Array, names: tuple[str | None, ...]) -> jax.Array:
    """Returns x as it is; checks that there is one name per dim."""
    assert x.ndim == len(names), f"{names} for an activation of shape {x.shape}"
    return x
