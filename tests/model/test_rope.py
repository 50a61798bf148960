import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.model.rope import rotate, rotation


def test_by_hand():
    """With base 100 and four dims, pair 0 turns by p radians and pair 1 by p / 10."""
    rope = rotation(jnp.array([[0, 1, 20]]), head_dim=4, base=100.0)
    x = jnp.tile(jnp.array([1.0, 0.0, 0.0, 1.0]), (1, 3, 1, 1))
    expected = [
        [1, 0, 0, 1],
        [np.cos(1), np.sin(1), -np.sin(0.1), np.cos(0.1)],
        [np.cos(20), np.sin(20), -np.sin(2), np.cos(2)],
    ]
    np.testing.assert_allclose(rotate(x, rope)[0, :, 0], expected, atol=1e-6)


def test_products_depend_on_the_distance_alone():
    query, key = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 16))

    def product(query_position, key_position):
        turned = [
            rotate(x, rotation(jnp.array([[p]]), head_dim=16, base=1e4))
            for x, p in ((query, query_position), (key, key_position))
        ]
        return jnp.vdot(*turned)

    np.testing.assert_allclose(product(7, 3), product(1004, 1000), rtol=1e-4)
    assert abs(product(7, 3) - product(7, 4)) > 1e-3


def test_position_8191_is_exact_to_float32():
    rope = rotation(jnp.array([[8191]]), head_dim=128, base=1e4)
    frequencies = (1e4 ** (-np.arange(0, 128, 2) / 128)).astype(np.float32)
    angles = np.float64(np.float32(8191) * frequencies)
    np.testing.assert_allclose(rope.cos[0, 0], np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(rope.sin[0, 0], np.sin(angles), atol=1e-6)


def test_keeps_dtype():
    x = jnp.ones((1, 2, 1, 4), jnp.bfloat16)
    rope = rotation(jnp.array([[0, 5]]), head_dim=4, base=1e4)
    assert rotate(x, rope).dtype == jnp.bfloat16
