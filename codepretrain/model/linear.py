"""A matrix between shaped inputs and outputs."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

LogicalAxes = tuple[str | None, ...]


class Linear(nnx.Module):
    """y = x · kernel without bias, contracting the last dims of x with `in_shape`.

    kernel: [*in_shape, *out_shape] float32. Computes in the dtype of x. The product that yields the
    kernel's gradient returns it in `gradient_dtype`, in which it is then summed over devices.

    Glorot-normal initialization of the kernel as a matrix: the fan-in is the product of `in_shape`,
    the fan-out that of `out_shape`, independent of the split into heads.
    Source: Glorot & Bengio 2010, eq. 12, truncated at two standard deviations as in JAX.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
        *,
        logical_axes: LogicalAxes,
        rngs: nnx.Rngs,
        gradient_dtype: str = "float32",
    ) -> None:
        shape = (math.prod(in_shape), math.prod(out_shape))
        matrix = jax.nn.initializers.glorot_normal()(rngs.params(), shape, jnp.float32)
        self.kernel = nnx.Param(matrix.reshape(*in_shape, *out_shape), logical_axes=logical_axes)
        self.num_in_dims = len(in_shape)
        self.gradient_dtype = gradient_dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        return _product(x, self.kernel[...], self.num_in_dims, self.gradient_dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _product(x: jax.Array, kernel: jax.Array, num_in_dims: int, gradient_dtype: str) -> jax.Array:
    return jnp.tensordot(x, kernel.astype(x.dtype), axes=num_in_dims)


def _product_forward(
    x: jax.Array, kernel: jax.Array, num_in_dims: int, gradient_dtype: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    kernel = kernel.astype(x.dtype)
    return _product(x, kernel, num_in_dims, gradient_dtype), (x, kernel)


def _product_backward(
    num_in_dims: int,
    gradient_dtype: str,
    residuals: tuple[jax.Array, jax.Array],
    d_y: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    out_dims = list(range(num_in_dims, kernel.ndim))
    d_x = jnp.tensordot(
        d_y, kernel.astype(x.dtype), axes=([i - kernel.ndim for i in out_dims], out_dims)
    )
    positions = list(range(x.ndim - num_in_dims))
    d_kernel = jnp.tensordot(
        x, d_y, axes=(positions, positions), preferred_element_type=jnp.dtype(gradient_dtype)
    )
    return d_x, d_kernel.astype(jnp.float32)


_product.defvjp(_product_forward, _product_backward)
