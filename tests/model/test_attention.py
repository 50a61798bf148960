"""The projections, norms and rotations around a kernel, and decoding over a past."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from codepretrain.errors import UserError
from codepretrain.model.attention import Attention, KeyValue
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.constrain import unconstrained
from codepretrain.model.rope import rotation


def attention(config, kernel="reference", constrain=unconstrained):
    return Attention(
        config,
        kernel=AttentionKernel(kernel, interpret=kernel == "splash"),
        constrain=constrain,
        gradient_dtype="float32",
        rngs=nnx.Rngs(0),
    )


def inputs(config, *, B=2, T=6):
    x = jax.random.normal(jax.random.key(1), (B, T, config.d_model))
    rope = rotation(jnp.tile(jnp.arange(T), (B, 1)), head_dim=config.head_dim, base=1e4)
    return x, rope, jnp.ones((B, T), jnp.int32)


def test_the_first_token_returns_its_own_value(tiny):
    """It sees only itself: its value, of the key-value head of each query head, projected."""
    config = tiny()
    layer = attention(config)
    x, rope, ids = inputs(config)
    out, present = layer(x, rope=rope, segment_ids=ids)
    value = np.einsum("bd,dkh->bkh", x[:, 0], layer.value.kernel[...])
    heads = value.repeat(2, axis=1)  # query heads 0 1 | 2 3 share a value head
    expected = np.einsum("bnh,nhd->bd", heads, layer.output.kernel[...])
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert present.key.shape == present.value.shape == (2, 6, 2, 8)


@pytest.mark.parametrize("use_qk_norm", [False, True])
def test_decoding_the_last_token_equals_the_whole_row(tiny, use_qk_norm):
    config = tiny(use_qk_norm=use_qk_norm)
    layer = attention(config)
    x, rope, ids = inputs(config)
    whole, present = layer(x, rope=rope, segment_ids=ids)

    def part(start, stop, width):
        """The keys and values of some tokens, heads first, in an array with room for more."""
        room = ((0, 0), (0, 0), (0, width - (stop - start)), (0, 0))
        arrays = (x[:, start:stop].swapaxes(1, 2) for x in present)
        return KeyValue(*(jnp.pad(x, room, constant_values=9.0) for x in arrays))

    out, recent = layer.decode(
        x[:, 5:],
        rope=jax.tree.map(lambda angles: angles[:, 5:], rope),
        past=part(0, 3, 4),
        recent=part(3, 5, 4),
        lengths=jnp.array([3, 3]),
        num_recent=jnp.int32(2),
    )
    np.testing.assert_allclose(out[:, 0], whole[:, 5], rtol=1e-4, atol=1e-5)
    expected = part(3, 6, 4)
    np.testing.assert_allclose(recent.key, expected.key, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(recent.value, expected.value, rtol=1e-5, atol=1e-6)


def test_only_kernels_that_the_compiler_cannot_split_run_on_each_device(tiny):
    seen = []

    class Recording:
        def __call__(self, x, names):
            return x

        def on_each_device(self, function, *, inputs, output):
            seen.append((inputs, output))
            return function

    config = tiny()
    x, rope, ids = inputs(config)
    attention(config, "blocked", Recording())(x, rope=rope, segment_ids=ids)
    assert not seen
    attention(config, "splash", Recording())(x, rope=rope, segment_ids=ids)
    query, key = ("batch", "tokens", "heads", None), ("batch", "tokens", "kv_heads", None)
    assert seen == [((query, key, key, query[:2]), query)]


def test_settings_that_do_not_fit_together_are_refused(tiny):
    with pytest.raises(UserError, match=r"config\.model\.num_heads: 4 is not divisible by"):
        attention(tiny(num_kv_heads=3))
    with pytest.raises(UserError, match=r"'cudnn' computes in bfloat16.*compute_dtype.*float32"):
        attention(tiny(), "cudnn")
