"""Where the model names the dims of its activations, for whoever knows the mesh.

A `Constrain` takes an activation and a logical name per dim and returns the same values, perhaps
with a sharding. Names: "batch", "tokens", "heads", "kv_heads", "mlp"; None is a dim that is never
split. The model itself knows no mesh: without one it uses `unconstrained`.
"""

from collections.abc import Callable

import jax

Constrain = Callable[[jax.Array, tuple[str | None, ...]], jax.Array]


def unconstrained(x: jax.Array, names: tuple[str | None, ...]) -> jax.Array:
    """Returns x as it is; checks that there is one name per dim."""
    assert x.ndim == len(names), f"{names} for an activation of shape {x.shape}"
    return x
