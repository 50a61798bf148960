import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.model.attention_kernels import as_kernel


def test_the_mask_of_the_docstring():
    """With equal scores and one-hot values, the output shows which keys a query sees."""
    segment_ids = jnp.array([[1, 1, 2, 2, 2, 0, 0]])
    query = key = jnp.ones((1, 7, 1, 7))
    values = jnp.eye(7)[None, :, None, :]
    weights = as_kernel("reference")(query, key, values, segment_ids)
    # fmt: off
    sees = np.array([[1, 0, 0, 0, 0, 0, 0],
                     [1, 1, 0, 0, 0, 0, 0],
                     [0, 0, 1, 0, 0, 0, 0],
                     [0, 0, 1, 1, 0, 0, 0],
                     [0, 0, 1, 1, 1, 0, 0],
                     [0, 0, 0, 0, 0, 1, 0],
                     [0, 0, 0, 0, 0, 1, 1]])
    # fmt: on
    np.testing.assert_allclose(weights[0, :, 0], sees / sees.sum(1, keepdims=True), rtol=1e-6)


def test_two_keys_by_hand():
    """Scores 0 and ln 3 after the division by sqrt(4): weights 1/4 and 3/4."""
    query = jnp.ones((1, 2, 1, 4))
    key = jnp.stack([jnp.zeros(4), jnp.full(4, np.log(3) / 2)])[None, :, None, :]
    value = jnp.array([[0.0, 0, 1, 2], [8, 4, 1, 2]])[None, :, None, :]
    out = as_kernel("reference")(query, key, value, jnp.ones((1, 2), int))
    np.testing.assert_allclose(out[0, :, 0], [[0, 0, 1, 2], [6, 3, 1, 2]], rtol=1e-6)


def test_query_heads_share_key_value_heads_in_groups():
    """4 query heads over 2 key-value heads equal 4 over 4 with each key-value head repeated."""
    rng = np.random.default_rng(0)
    query = rng.normal(size=(2, 5, 4, 8)).astype(np.float32)
    key, value = rng.normal(size=(2, 2, 5, 2, 8)).astype(np.float32)
    segment_ids = np.ones((2, 5), np.int32)
    kernel = jax.jit(as_kernel("reference"))
    grouped = kernel(query, key, value, segment_ids)
    repeated = kernel(query, key.repeat(2, axis=2), value.repeat(2, axis=2), segment_ids)
    np.testing.assert_allclose(grouped, repeated, rtol=1e-5, atol=1e-6)
