"""Products of a block of positions and a block of ids."""

import jax.numpy as jnp
import numpy as np

from codepretrain.train.loss.products import logits_of, products


def test_logits_of_masked_ids_are_minus_infinity():
    x, block = jnp.ones((2, 3)), jnp.ones((4, 3))
    logits = logits_of(x, block, jnp.array([-5, 0, 1, 2]), 0.5)
    np.testing.assert_array_equal(logits, [[-np.inf, 1.5, 1.5, 1.5]] * 2)


def test_products_are_the_gradients_of_the_logits():
    rng = np.random.default_rng(0)
    d_logits, x, block = (rng.normal(size=shape) for shape in ((5, 4), (5, 3), (4, 3)))
    d_x, d_block = products(jnp.float32(d_logits), jnp.float32(x), jnp.float32(block))
    np.testing.assert_allclose(d_x, d_logits @ block, rtol=1e-5)
    np.testing.assert_allclose(d_block, (d_logits.T @ x).T, rtol=1e-5)
