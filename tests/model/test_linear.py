import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from codepretrain.model.linear import Linear


def test_contracts_the_trailing_dims():
    linear = Linear((2, 3), (4,), logical_axes=("heads", "head_dim", "embed"), rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(5, 7, 2, 3)).astype(np.float32)
    expected = x.reshape(5, 7, 6) @ np.array(linear.kernel[...]).reshape(6, 4)
    np.testing.assert_allclose(linear(jnp.array(x)), expected, rtol=1e-5, atol=1e-6)


def test_computes_in_the_inputs_dtype_with_float32_parameters():
    linear = Linear((8,), (4,), logical_axes=("embed", "mlp"), rngs=nnx.Rngs(0))
    assert linear.kernel[...].dtype == jnp.float32
    assert linear(jnp.ones((1, 8), jnp.bfloat16)).dtype == jnp.bfloat16


def test_glorot_over_the_matrix_whichever_way_it_is_split():
    """Variance 2 / (fan-in + fan-out): of 600 inputs and 10 · 20 outputs, not of 10 or 20."""
    for in_shape, out_shape in (((600,), (10, 20)), ((10, 20), (600,)), ((600,), (200,))):
        kernel = Linear(in_shape, out_shape, logical_axes=(), rngs=nnx.Rngs(0)).kernel[...]
        assert kernel.shape == in_shape + out_shape
        # 120,000 draws: the standard deviation's own standard error is 0.2%.
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / 800), rtol=0.01)
        np.testing.assert_allclose(kernel.mean(), 0, atol=5e-4)


@pytest.mark.parametrize(("dtype", "expected"), [("float32", 257.0), ("bfloat16", 256.0)])
def test_the_gradient_leaves_the_product_in_its_own_dtype(dtype, expected):
    """257 ones add up to 257, which bfloat16 cannot hold; the parameter's gradient is float32."""
    linear = Linear((1,), (1,), logical_axes=(None, None), rngs=nnx.Rngs(0), gradient_dtype=dtype)
    x = jnp.ones((1, 257, 1), jnp.bfloat16)
    gradients = nnx.grad(lambda m: m(x).sum().astype(jnp.float32))(linear)
    assert gradients.kernel[...].dtype == jnp.float32
    assert gradients.kernel[...] == expected
