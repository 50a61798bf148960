"""A matrix between shaped inputs and outputs."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

LogicalAxes = tuple[str | None, ...]


class Linear(nnx.Module):
    """y = x · kernel without bias, contracting the last dims of x with `in_shape`.

    kernel: [*in_shape, *out_shape] float32. Computes in the dtype of x.

    Initialised glorot-normal over the matrix that the kernel stands for: the fan-in is the product
    of `in_shape`, the fan-out that of `out_shape`, whichever way they are split into heads.
    Source: Glorot & Bengio 2010, eq. 12, truncated at two standard deviations as in JAX.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
        *,
        logical_axes: LogicalAxes,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (math.prod(in_shape), math.prod(out_shape))
        matrix = jax.nn.initializers.glorot_normal()(rngs.params(), shape, jnp.float32)
        self.kernel = nnx.Param(matrix.reshape(*in_shape, *out_shape), logical_axes=logical_axes)
        self.num_in_dims = len(in_shape)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tensordot(x, self.kernel[...].astype(x.dtype), axes=self.num_in_dims)
