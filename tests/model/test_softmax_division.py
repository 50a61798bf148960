import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.model.softmax_division import divide


def test_by_hand():
    """(6, 2) / 4; with d out = (1, 2): d values = d out / 4, d weights = -(6 · 1 + 2 · 2) / 16."""
    values, weights = jnp.array([[6.0, 2.0]]), jnp.array([[4.0]])
    out, pull = jax.vjp(lambda *x: divide(*x, jnp.dtype("float32")), values, weights)
    np.testing.assert_allclose(out, [[1.5, 0.5]])
    d_values, d_weights = pull(jnp.array([[1.0, 2.0]]))
    np.testing.assert_allclose(d_values, [[0.25, 0.5]])
    np.testing.assert_allclose(d_weights, [[-10 / 16]])


def test_gradients_of_bfloat16_outputs_are_float32():
    arrays = jnp.ones((2, 3, 4)), jnp.full((2, 3, 1), 3.0)
    out, pull = jax.vjp(lambda *x: divide(*x, jnp.dtype("bfloat16")), *arrays)
    assert out.dtype == jnp.bfloat16
    assert [x.dtype for x in pull(out)] == [jnp.float32, jnp.float32]
