"""LayerNorm without bias."""

import jax
import jax.numpy as jnp
from flax import nnx

from codepretrain.model.linear import LogicalAxes
from codepretrain.model.remat import keep_inputs_only


class LayerNorm(nnx.Module):
    """y = (x - mean) / sqrt(variance + epsilon) · scale over the last dim, computed in float32.

    scale: [*shape] float32, initialized to ones; its dims are the last dims of x. With shape [N, H]
    each head has its own statistics (over H) and its own scale: qk-norm as in Cohere's models.
    The result has the dtype of x.
    """

    def __init__(
        self, shape: tuple[int, ...], *, epsilon: float, logical_axes: LogicalAxes
    ) -> None:
        self.scale = nnx.Param(jnp.ones(shape, jnp.float32), logical_axes=logical_axes)
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        return keep_inputs_only(self._normalize)(x, self.scale[...])

    def _normalize(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        centered = x.astype(jnp.float32)
        centered -= jnp.mean(centered, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
        normalized = centered * jax.lax.rsqrt(variance + self.epsilon)
        return (normalized * jnp.broadcast_to(scale, x.shape)).astype(x.dtype)
