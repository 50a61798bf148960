"""The last operation of a softmax: a division whose gradient needs its result, not its input.

    out = values / weights
    d values  = d out / weights
    d weights = -Σ_h d values · out          by autodiff: -Σ_h d out · values / weights²

So if the output and the weights are saved, the backward pass does not recompute `values`.

Source: Dao et al. 2022 (FlashAttention), appendix B.2.
"""

import functools

import jax
import jax.numpy as jnp

from codepretrain.model.remat import name_activation


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def divide(values: jax.Array, weights: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Returns values [..., H] float32 / weights [..., 1] float32, cast to `dtype`."""
    return (values / weights).astype(dtype)


def _forward(
    values: jax.Array, weights: jax.Array, dtype: jnp.dtype
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    out = name_activation(divide(values, weights, dtype), "attention_output")
    return out, (out, name_activation(weights, "attention_output"))


def _backward(
    dtype: jnp.dtype, residuals: tuple[jax.Array, jax.Array], d_out: jax.Array
) -> tuple[jax.Array, jax.Array]:
    out, weights = residuals
    d_values = d_out.astype(jnp.float32) / weights
    d_weights = -jnp.sum(d_values * out.astype(jnp.float32), axis=-1, keepdims=True)
    return d_values, d_weights


divide.defvjp(_forward, _backward)
