import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.model.decode import decode_step, prefill
from codepretrain.model.transformer import bind


@pytest.mark.parametrize("changes", [{}, {"use_qk_norm": True, "num_kv_heads": 1}])
def test_prefill_and_steps_equal_the_full_forward(tiny, noisy_params, forward, changes):
    """Prompts of 3, 7 and 1 tokens side by side, continued by 5 tokens each."""
    config = tiny(**changes)
    params = noisy_params(config)
    tokens = jax.random.randint(jax.random.key(5), (3, 12), 1, config.vocab_size)
    positions = jnp.tile(jnp.arange(12), (3, 1))
    expected = forward(config, params, tokens, positions, jnp.ones_like(tokens))
    lengths = jnp.array([3, 7, 1])
    # The tokens in the padding must not matter.
    prompts = jnp.where(positions < lengths[:, None], tokens, 49)[:, :8]

    @jax.jit
    def start(params):
        model = bind(config, params, remat_policy="none", attention_kernel="reference")
        return prefill(model, prompts, lengths, capacity=12)

    @jax.jit
    def step(params, tokens, cache):
        model = bind(config, params, remat_policy="none", attention_kernel="reference")
        return decode_step(model, tokens, cache)

    rows = jnp.arange(3)
    hidden, cache = start(params)
    assert cache.capacity == 12
    for written in range(5):
        last = lengths + written
        np.testing.assert_array_equal(cache.lengths, last)
        np.testing.assert_allclose(hidden, expected[rows, last - 1], rtol=1e-4, atol=1e-5)
        hidden, cache = step(params, tokens[rows, last], cache)


def test_prompts_longer_than_the_cache_are_refused(tiny, noisy_params):
    config = tiny()
    model = bind(config, noisy_params(config), remat_policy="none", attention_kernel="reference")
    with pytest.raises(AssertionError, match="prompts of 5 tokens for a cache of 4"):
        prefill(model, jnp.ones((1, 5), jnp.int32), jnp.array([5]), capacity=4)
