import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.model.decode import (
    Cache,
    commit,
    decode_step,
    empty_past,
    grow,
    insert,
    prefill,
)
from codepretrain.model.transformer import bind


@pytest.mark.parametrize("changes", [{}, {"use_qk_norm": True, "num_kv_heads": 1}])
def test_prefill_and_steps_equal_the_full_forward(tiny, noisy_params, forward, changes):
    """Prompts of 3, 7 and 1 tokens side by side, continued by 5 tokens each, 2 at a time."""
    config = tiny(**changes)
    params = noisy_params(config)
    tokens = jax.random.randint(jax.random.key(5), (3, 12), 1, config.vocab_size)
    positions = jnp.tile(jnp.arange(12), (3, 1))
    expected = forward(config, params, tokens, positions, jnp.ones_like(tokens))
    lengths = jnp.array([3, 7, 1])
    # The tokens in the padding must not matter.
    prompts = jnp.where(positions < lengths[:, None], tokens, 49)[:, :8]

    def bound(params):
        return bind(config, params, remat_policy="none", attention_kernel="reference")

    start = jax.jit(lambda params: prefill(bound(params), prompts, lengths))
    step = jax.jit(lambda params, tokens, cache: decode_step(bound(params), tokens, cache))

    rows = jnp.arange(3)
    hidden, past = start(params)
    past = grow(past, capacity=13)
    for written in range(5):
        last = lengths + written
        if written % 2 == 0:
            cache = Cache.of(bound(params), past, last, num_steps=2)
        np.testing.assert_allclose(hidden, expected[rows, last - 1], rtol=1e-4, atol=1e-5)
        hidden, cache = step(params, tokens[rows, last], cache)
        if written % 2 == 1:
            past = commit(cache)


def test_sequences_take_the_places_of_others(tiny, noisy_params):
    """Of three places, the last takes prompt 0 of two, the first prompt 1; the second stays."""
    config = tiny()
    params = noisy_params(config)
    model = bind(config, params, remat_policy="none", attention_kernel="reference")
    prompts, lengths = jnp.array([[4, 5, 6], [7, 8, 9]]), jnp.array([3, 3])
    _, new = prefill(model, prompts, lengths)
    past = jax.tree.map(lambda x: x + 7.0, empty_past(model, 3, capacity=5))
    found = insert(model, past, new, jnp.array([1, -1, 0]))
    for layer, (old, fresh) in zip(found, zip(past, new, strict=True), strict=True):
        for name in ("key", "value"):
            array, source = getattr(layer, name), getattr(fresh, name)
            np.testing.assert_array_equal(array[0, :, :3], source[1])
            np.testing.assert_array_equal(array[2, :, :3], source[0])
            np.testing.assert_array_equal(array[1], getattr(old, name)[1])
            np.testing.assert_array_equal(array[:, :, 3:], 7.0)
