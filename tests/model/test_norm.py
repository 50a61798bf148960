import jax.numpy as jnp
import numpy as np

from codepretrain.model.norm import LayerNorm


def layer_norm(shape, scale, epsilon=0.0):
    norm = LayerNorm(shape, epsilon=epsilon, logical_axes=(None,) * len(shape))
    norm.scale[...] = jnp.array(scale)
    return norm


def test_by_hand():
    # Mean 4, deviations -3 -1 1 3, variance 5.
    y = layer_norm((4,), [1.0, 1.0, 2.0, 0.0])(jnp.array([[1.0, 3.0, 5.0, 7.0]]))
    np.testing.assert_allclose(y, [np.array([-3, -1, 2, 0]) / np.sqrt(5)], rtol=1e-6)


def test_epsilon_is_added_to_the_variance():
    y = layer_norm((2,), [1.0, 1.0], epsilon=3.0)(jnp.array([[-1.0, 1.0]]))
    np.testing.assert_allclose(y, [[-0.5, 0.5]], rtol=1e-6)


def test_heads_are_normalized_and_scaled_one_by_one():
    y = layer_norm((2, 2), [[1.0, 1.0], [10.0, 0.0]])(jnp.array([[[[0.0, 2.0], [5.0, 7.0]]]]))
    np.testing.assert_allclose(y, [[[[-1, 1], [-10, 0]]]], rtol=1e-6)


def test_bfloat16_in_and_out_with_float32_inside():
    x = jnp.array([[1000.0, 1008.0]], jnp.bfloat16)  # the mean 1004 is no bfloat16
    y = layer_norm((2,), [1.0, 1.0])(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y.astype(jnp.float32), [[-1, 1]])
