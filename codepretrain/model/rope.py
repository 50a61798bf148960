"""Interleaved RoPE: dims 2i and 2i+1 of a head are rotated by position · base^(-2i/H).

Source: Su et al. 2021, eq. 15 and 34. Pairs are adjacent dims, as in the paper and in Command-R,
not the two halves of the head, as in Llama's code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class RopeAngles(NamedTuple):
    """Cosine and sine of every pair's angle: each [B, T, H/2] float32."""

    cos: jax.Array
    sin: jax.Array


def rotation(positions: jax.Array, *, head_dim: int, base: float) -> RopeAngles:
    """Returns the angles at `positions` [B, T] int32, shared by all layers and heads."""
    # In float64, since at position 8192 float32 frequencies would give angles off by 5e-4 radians.
    frequencies = (base ** (-np.arange(0, head_dim, 2) / head_dim)).astype(np.float32)
    angles = positions.astype(jnp.float32)[..., None] * frequencies[None, None, :]
    return RopeAngles(cos=jnp.cos(angles), sin=jnp.sin(angles))


def rotate(x: jax.Array, rope: RopeAngles) -> jax.Array:
    """Returns x [B, T, heads, H] with each pair of its dims rotated; in float32, then x's dtype."""
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    cos, sin = rope.cos[:, :, None, :], rope.sin[:, :, None, :]
    rotated = jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return rotated.reshape(x.shape).astype(x.dtype)
