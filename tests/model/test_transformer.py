import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from codepretrain.errors import UserError
from codepretrain.model.constrain import unconstrained
from codepretrain.model.transformer import (
    Transformer,
    abstract_params,
    bind,
    init_params,
    logical_axes,
)


def norm(x, scale, epsilon):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * scale


def turned(vector, position, base):
    """RoPE as a product of complex numbers: dims 2i and 2i+1 are the real and imaginary part."""
    angle = position * base ** (-np.arange(0, len(vector), 2) / len(vector))
    pairs = (vector[0::2] + 1j * vector[1::2]) * np.exp(1j * angle)
    return np.stack([pairs.real, pairs.imag], axis=-1).reshape(-1)


def attended(weights, h, positions, segments, config):
    """Attention of one row h [T, D], a query and a head at a time."""
    T, group = len(h), config.num_heads // config.num_kv_heads
    q, k, v = (np.einsum("td,dnh->tnh", h, weights[n]["kernel"]) for n in ("query", "key", "value"))
    if config.use_qk_norm:
        q = norm(q, weights["query_norm"]["scale"], config.norm_epsilon)
        k = norm(k, weights["key_norm"]["scale"], config.norm_epsilon)
    out = np.zeros_like(h)
    for t in range(T):
        sees = [s for s in range(t + 1) if segments[s] == segments[t]]
        for head in range(config.num_heads):
            query = turned(q[t, head], positions[t], config.rope_base)
            keys = [turned(k[s, head // group], positions[s], config.rope_base) for s in sees]
            scores = np.exp(np.array(keys) @ query / np.sqrt(config.head_dim))
            mixed = (scores / scores.sum()) @ v[sees, head // group]
            out[t] += mixed @ weights["output"]["kernel"][head]
    return out


def numpy_logits(params, config, inputs, positions, segment_ids):
    """The whole model in float64 loops, one row and one layer after the other."""
    params = jax.tree.map(np.float64, params)
    logits = []
    for tokens, places, segments in zip(inputs, positions, segment_ids, strict=True):
        x = params["embedding"][tokens]
        for layer in range(config.num_layers):
            block = jax.tree.map(lambda leaf, i=layer: leaf[i], params["blocks"])
            h = norm(x, block["norm"]["scale"], config.norm_epsilon)
            gate, up, down = (block["mlp"][name]["kernel"] for name in ("gate", "up", "down"))
            mlp = (h @ gate / (1 + np.exp(-h @ gate)) * (h @ up)) @ down
            x = x + attended(block["attention"], h, places, segments, config) + mlp
        hidden = norm(x, params["final_norm"]["scale"], config.norm_epsilon)
        embedding = params["embedding" if config.tie_embeddings else "unembedding"]
        logits.append(config.logit_scale * hidden @ embedding.T)
    return np.stack(logits)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_kv_heads": 4, "rope_base": 500.0, "logit_scale": 1.0},
        {"num_kv_heads": 1, "use_qk_norm": True, "tie_embeddings": False, "norm_epsilon": 0.1},
    ],
)
def test_agrees_with_numpy(tiny, noisy_params, forward, packed, changes):
    config = tiny(**changes)
    params = noisy_params(config)
    expected = numpy_logits(params, config, *(np.array(x) for x in packed))
    model = bind(config, params, remat_policy="none", attention_kernel="reference")
    logits = model.logits(forward(config, params, *packed))
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_document_does_not_see_its_neighbors(tiny, noisy_params, forward, packed):
    config = tiny(use_qk_norm=True)
    params = noisy_params(config)
    inputs, positions, segment_ids = packed
    hidden = forward(config, params, *packed)
    for start, stop in ((0, 5), (5, 9)):
        alone = [x[:1, start:stop] for x in packed]
        alone[2] = jnp.ones_like(alone[2])
        np.testing.assert_allclose(
            hidden[:1, start:stop], forward(config, params, *alone), rtol=1e-5, atol=1e-5
        )
    other = jnp.where((segment_ids == 2), inputs, (inputs + 7) % config.vocab_size)
    changed = forward(config, params, other, positions, segment_ids)
    np.testing.assert_array_equal(changed[0, 5:9], hidden[0, 5:9])
    assert not np.allclose(changed[0, :5], hidden[0, :5])


def test_causality(tiny, noisy_params, forward, packed):
    config = tiny()
    params = noisy_params(config)
    inputs, positions, segment_ids = packed
    hidden = forward(config, params, *packed)
    for t in (1, 6, 11):
        later = inputs.at[1, t].set((inputs[1, t] + 1) % config.vocab_size)
        changed = forward(config, params, later, positions, segment_ids)
        np.testing.assert_array_equal(changed[1, :t], hidden[1, :t])
        assert np.abs(changed[1, t:] - hidden[1, t:]).max(-1).min() > 1e-6


def test_bfloat16_is_finite_near_float32_and_keeps_float32_parameters(
    tiny, noisy_params, forward, packed
):
    params = noisy_params(tiny())
    config = tiny(compute_dtype="bfloat16")
    hidden = forward(config, params, *packed)
    assert hidden.dtype == jnp.bfloat16
    expected = forward(tiny(), params, *packed)
    # bfloat16 has 8 bits: 0.4% a rounding, a few dozen of them in three layers.
    np.testing.assert_allclose(hidden.astype(jnp.float32), expected, atol=0.1)
    gradient = jax.grad(lambda p: forward(config, p, *packed).astype(jnp.float32).sum())(params)
    assert all(g.dtype == jnp.float32 and np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_padding_and_rows_of_padding_are_finite(tiny, noisy_params, forward):
    config = tiny()
    zeros = jnp.zeros((2, 12), jnp.int32)
    assert np.isfinite(forward(config, noisy_params(config), zeros, zeros, zeros)).all()


def test_an_id_outside_the_vocabulary_is_not_silent(tiny, noisy_params, forward, packed):
    inputs, positions, segment_ids = packed
    config = tiny()
    hidden = forward(config, noisy_params(config), inputs.at[1, 5].set(50), positions, segment_ids)
    assert np.isnan(hidden[1]).all()  # so the loss is not finite, and the update is skipped
    assert np.isfinite(hidden[0]).all()


def paths(tree, is_leaf=None):
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def test_names_shapes_and_axes_of_the_parameters(tiny):
    config = tiny(use_qk_norm=True, tie_embeddings=False)
    expected = {
        "embedding": ((50, 32), ("vocab", "embed")),
        "unembedding": ((50, 32), ("vocab", "embed")),
        "final_norm/scale": ((32,), (None,)),
        "blocks/norm/scale": ((3, 32), ("layers", None)),
        "blocks/attention/query/kernel": ((3, 32, 4, 8), ("layers", "embed", "heads", "head_dim")),
        "blocks/attention/key/kernel": ((3, 32, 2, 8), ("layers", "embed", "kv_heads", "head_dim")),
        "blocks/attention/value/kernel": (
            (3, 32, 2, 8),
            ("layers", "embed", "kv_heads", "head_dim"),
        ),
        "blocks/attention/output/kernel": ((3, 4, 8, 32), ("layers", "heads", "head_dim", "embed")),
        "blocks/attention/query_norm/scale": ((3, 4, 8), ("layers", "heads", "head_dim")),
        "blocks/attention/key_norm/scale": ((3, 2, 8), ("layers", "kv_heads", "head_dim")),
        "blocks/mlp/gate/kernel": ((3, 32, 48), ("layers", "embed", "mlp")),
        "blocks/mlp/up/kernel": ((3, 32, 48), ("layers", "embed", "mlp")),
        "blocks/mlp/down/kernel": ((3, 48, 32), ("layers", "mlp", "embed")),
    }
    shapes = paths(abstract_params(config))
    axes = paths(logical_axes(config), is_leaf=lambda x: isinstance(x, tuple))
    assert {path: (leaf.shape, axes[path]) for path, leaf in shapes.items()} == expected
    assert axes.keys() == shapes.keys()
    assert {leaf.dtype for leaf in shapes.values()} == {jnp.dtype("float32")}
    tied = paths(abstract_params(tiny()))
    assert expected.keys() - tied.keys() == {
        "unembedding",
        "blocks/attention/query_norm/scale",
        "blocks/attention/key_norm/scale",
    }


initialize = jax.jit(init_params, static_argnums=0)


def test_initial_values(tiny):
    config = tiny(vocab_size=2000, d_model=64)
    params = initialize(config, jax.random.key(0))
    np.testing.assert_allclose(params["embedding"].std(), 1 / 8, rtol=0.01)
    np.testing.assert_array_equal(params["final_norm"]["scale"], 1)
    gate = params["blocks"]["mlp"]["gate"]["kernel"]
    np.testing.assert_allclose(gate.std(axis=(1, 2)), np.sqrt(2 / (64 + 48)), rtol=0.05)
    assert not np.allclose(gate[0], gate[1])
    assert not np.allclose(gate, params["blocks"]["mlp"]["up"]["kernel"])


def test_parameters_are_initialized_sharded_and_do_not_depend_on_the_mesh(tiny):
    config = tiny(vocab_size=2000, d_model=64)
    whole = initialize(config, jax.random.key(3))
    mesh = jax.make_mesh((4, 2), ("fsdp", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    rules = {"embed": "fsdp", "mlp": "tensor", "heads": "tensor", "vocab": "tensor"}
    shardings = jax.tree.map(
        lambda axes: jax.NamedSharding(mesh, jax.P(*(rules.get(name) for name in axes))),
        logical_axes(config),
        is_leaf=lambda x: isinstance(x, tuple),
    )
    init = jax.jit(init_params, static_argnums=0, out_shardings=shardings)
    split = init(config, jax.random.key(3))
    assert split["embedding"].addressable_shards[0].data.shape == (1000, 16)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(split), strict=True):
        np.testing.assert_array_equal(a, b)


def test_activations_are_named_for_the_mesh(tiny, noisy_params, packed):
    seen = set()

    class Recorded:
        def __call__(self, x, names):
            assert x.ndim == len(names)
            seen.add(names)
            return x

        def on_each_device(self, function, *, inputs, output):
            return unconstrained.on_each_device(function, inputs=inputs, output=output)

    config = tiny()
    model = bind(
        config,
        noisy_params(config),
        remat_policy="full",
        attention_kernel="reference",
        constrain=Recorded(),
    )
    inputs, positions, segment_ids = packed
    model(inputs, positions=positions, segment_ids=segment_ids)
    assert seen == {
        ("lookup_batch", "tokens"),
        ("lookup_batch", "tokens", "lookup_embed"),
        ("batch", "tokens", None),
        ("batch", "tokens", "heads", None),
        ("batch", "tokens", "kv_heads", None),
        ("batch", "tokens", "mlp"),
    }


def test_wrong_shapes_and_names_are_refused(tiny):
    config = tiny()
    params = abstract_params(config)
    with pytest.raises(UserError, match="remat_policy"):
        bind(config, params, remat_policy="some", attention_kernel="reference")
    with pytest.raises(UserError, match="attention_kernel"):
        bind(config, params, remat_policy="full", attention_kernel="quick")
    with pytest.raises(UserError, match=r"num_heads: 4 is not divisible by .*num_kv_heads = 3"):
        abstract_params(tiny(num_kv_heads=3))
    with pytest.raises(UserError, match="head_dim: expected an even number, got 7"):
        abstract_params(tiny(head_dim=7))


def test_the_module_is_usable_by_itself(tiny, packed):
    def logits(inputs, positions, segment_ids):
        model = Transformer(
            tiny(), remat_policy="none", attention_kernel="reference", rngs=nnx.Rngs(0)
        )
        return model.logits(model(inputs, positions=positions, segment_ids=segment_ids))

    assert jax.eval_shape(logits, *packed).shape == (2, 12, 50)
